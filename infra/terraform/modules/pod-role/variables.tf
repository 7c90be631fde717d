variable "name" {
  description = "Name of the role."
  type        = string
  nullable    = false
}

variable "description" {
  description = "Which pods take the role, and for what."
  type        = string
  nullable    = false
}

variable "cluster" {
  description = "The cluster. `oidc_provider_arn` is for IRSA beside Pod Identity; null where that is off."
  type = object({
    name              = string
    arn               = string
    account_id        = string
    oidc_provider_arn = optional(string)
  })
  nullable = false
}

variable "namespace" {
  description = "Namespace of the service account."
  type        = string
  nullable    = false

  validation {
    condition     = !strcontains(var.namespace, "*")
    error_message = "One namespace, no pattern."
  }
}

variable "service_account" {
  description = "The service account whose pods take the role."
  type        = string
  nullable    = false

  validation {
    condition     = !strcontains(var.service_account, "*")
    error_message = "One service account, no pattern."
  }
}

variable "policy" {
  description = "What the role may do, as JSON. Null: only what the managed policies say."
  type        = string
  default     = null
}

variable "managed_policy_arns" {
  description = "Policies of AWS that the role has, too."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds what the role can ever do. Null: none."
  type        = string
  default     = null
}
