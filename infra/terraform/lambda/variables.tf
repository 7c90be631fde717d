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

variable "package" {
  description = "The function's zip, for arm64. Null: the functions are not made, only what they need."
  type        = string
  default     = null

  validation {
    condition     = var.package == null ? true : fileexists(var.package)
    error_message = "There is no such file."
  }
}

variable "memory_mib" {
  description = "Memory of an instance. CPU grows with it."
  type        = number
  nullable    = false

  validation {
    condition     = var.memory_mib >= 128 && var.memory_mib <= 10240
    error_message = "128 to 10,240 MiB."
  }
}

variable "concurrency" {
  description = "Instances that there are at most, and those that are kept warm."
  type = object({
    most = number
    warm = number
  })
  nullable = false

  validation {
    condition     = var.concurrency.most >= 1 && var.concurrency.warm >= 0 && var.concurrency.warm < var.concurrency.most
    error_message = "At least one instance, and fewer warm ones."
  }
}

variable "domain" {
  description = "A name for the API, and its certificate in the region. Null: none; the API has the name that AWS gives it."
  type = object({
    name            = string
    certificate_arn = string
  })
  default = null

  validation {
    condition     = var.domain == null ? true : can(regex("^arn:aws:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.domain.certificate_arn))
    error_message = "The certificate is one of ACM."
  }
}

variable "rate" {
  description = "Requests each second, and those at once, above which API Gateway refuses."
  type = object({
    steady = number
    burst  = number
  })
  nullable = false

  validation {
    condition     = var.rate.steady >= 1 && var.rate.burst >= var.rate.steady
    error_message = "At least one each second, and no fewer at once."
  }
}

variable "api_token" {
  description = "The API's token, which the export needs; by TF_VAR_api_token, never in a file. It is in the state. Null: no token, no export."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.api_token == null ? true : length(var.api_token) >= 32
    error_message = "At least 32 characters."
  }
}

variable "export" {
  description = "The scheduled export, and its bucket in another account. `owner_role_arn` makes the bucket there. Null: none."
  type = object({
    schedule       = string
    account_id     = string
    region         = string
    owner_role_arn = string
    retention_days = number
  })
  default = null

  validation {
    condition     = var.export == null ? true : can(regex("^(rate|cron)\\(", var.export.schedule))
    error_message = "A schedule is rate(…) or cron(…)."
  }
  validation {
    condition     = var.export == null || var.package == null ? true : var.api_token != null
    error_message = "The export needs the API's token."
  }
  validation {
    condition     = var.export == null ? true : can(regex("^[0-9]{12}$", var.export.account_id)) && var.export.account_id != var.account_id
    error_message = "Another account: who can delete the data must not be able to delete the export."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  nullable    = false

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "A retention that CloudWatch has: 7, 14, 30, 60, 90, 180, 365, 400 or 731 days."
  }
}
