variable "name" {
  description = "Name of the role."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{3,64}$", var.name))
    error_message = "The name has 3 to 64 letters, digits, _ and -."
  }
}

variable "description" {
  description = "Who takes the role, and for what."
  type        = string
  nullable    = false
}

variable "trust" {
  description = "Trust policy, as JSON: who may take the role."
  type        = string
  nullable    = false

  validation {
    condition = alltrue([
      for statement in jsondecode(var.trust).Statement :
      statement.Principal != "*" && try(statement.Principal.AWS, "") != "*" && (
        length(try(statement.Condition, {})) > 0 || contains(local.unconditional, try(statement.Principal.Service, ""))
      )
    ])
    error_message = "A trust policy names its principals, and has a condition (confused deputy)."
  }
}

variable "policy" {
  description = "What the role may do, as JSON. Null: only what the managed policies say."
  type        = string
  default     = null

  validation {
    condition = var.policy == null ? true : alltrue([
      for statement in jsondecode(var.policy).Statement :
      statement.Effect == "Deny" || alltrue([for action in flatten([statement.Action]) : !strcontains(action, "*")])
    ])
    error_message = "Actions are named one by one, without a wildcard."
  }
  validation {
    condition = var.policy == null ? true : alltrue([
      for statement in jsondecode(var.policy).Statement : !contains(keys(statement), "NotAction")
    ])
    error_message = "NotAction allows what nobody has thought of."
  }
}

variable "managed_policy_arns" {
  description = "Policies of AWS that the role has, too. They are lists that AWS keeps."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.managed_policy_arns : startswith(arn, "arn:aws:iam::aws:policy/")])
    error_message = "Only policies of AWS."
  }
  validation {
    condition     = !contains(var.managed_policy_arns, "arn:aws:iam::aws:policy/AdministratorAccess")
    error_message = "No role of ours is an administrator."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds what the role can ever do. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null ? true : can(regex("^arn:aws:iam::[0-9]{12}:policy/", var.permissions_boundary))
    error_message = "The ARN of a policy of an account."
  }
}
