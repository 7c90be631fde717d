variable "environment" {
  description = "dev, staging or prod. Each has an account of its own."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "dev, staging or prod."
  }
}

variable "account_id" {
  description = "The account of the environment. Terraform stops if its credentials are for another one."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account has 12 digits."
  }
}

variable "region" {
  description = "The region that serves."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.region))
    error_message = "A region is named like eu-central-1."
  }
}

variable "github_repository" {
  description = "The repository whose jobs may take the roles: owner/name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "A repository is owner/name, without a wildcard."
  }
}

variable "github_environments" {
  description = "The environment of GitHub whose jobs may take each role."
  type = object({
    plan    = string
    apply   = string
    publish = string
  })
  nullable = false

  validation {
    condition     = alltrue([for name in values(var.github_environments) : can(regex("^[a-z0-9-]+$", name))])
    error_message = "An environment has a-z, 0-9 and -, no wildcard."
  }
  validation {
    condition     = length(distinct(values(var.github_environments))) == 3
    error_message = "Each role has an environment of its own, so that approvals of one do not open another."
  }
}

variable "repositories" {
  description = "Repositories of images that a release pushes to."
  type        = set(string)
  default     = ["birthday-host"]
  nullable    = false

  validation {
    condition     = alltrue([for name in var.repositories : can(regex("^[a-z0-9/_-]+$", name))])
    error_message = "Names of repositories, without a wildcard."
  }
}

variable "log_retention_days" {
  description = "Days that the log of accesses to buckets is kept."
  type        = number
  nullable    = false

  validation {
    condition     = var.log_retention_days >= 1
    error_message = "At least a day."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` deletes buckets with what is in them. Only for an account that is thrown away."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !(var.force_destroy && var.environment == "prod")
    error_message = "Never in prod."
  }
}

variable "service_linked_roles" {
  description = "Services whose own role the account does not have yet. Without that of spot Karpenter makes no spot instances."
  type        = set(string)
  default     = ["elasticloadbalancing.amazonaws.com", "spot.amazonaws.com"]
  nullable    = false

  validation {
    condition     = alltrue([for service in var.service_linked_roles : endswith(service, ".amazonaws.com")])
    error_message = "Names of services, like spot.amazonaws.com."
  }
}
