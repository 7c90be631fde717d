variable "name" {
  description = "Alias of the key, without `alias/`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]{3,60}$", var.name))
    error_message = "The name has 3 to 60 of a-z, 0-9 and -."
  }
}

variable "description" {
  description = "What the key encrypts."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "The account that owns the key. Its IAM policies decide who uses it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account has 12 digits."
  }
}

variable "services" {
  description = "Services of AWS that use the key by themselves, and the conditions under which they may."
  type        = map(map(map(string)))
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for service, conditions in var.services : can(regex("^[a-z0-9.-]+\\.amazonaws\\.com$", service)) && length(conditions) > 0
    ])
    error_message = "A service is named like logs.eu-central-1.amazonaws.com, and has at least one condition (confused deputy)."
  }
}
