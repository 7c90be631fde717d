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

variable "pages" {
  description = "Addresses that get alarms which cannot wait: https:// of a pager, or an e-mail address."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for address in var.pages : startswith(address, "https://") || can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "https:// or an e-mail address."
  }
  validation {
    condition     = var.environment != "prod" || length(var.pages) > 0
    error_message = "In prod somebody is called."
  }
}

variable "tickets" {
  description = "Addresses that get alarms for a working day."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for address in var.tickets : startswith(address, "https://") || can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "https:// or an e-mail address."
  }
}

variable "runbook" {
  description = "Address of docs/runbook.md, which alarms name."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.runbook, "https://")
    error_message = "https://"
  }
}

variable "managed_prometheus" {
  description = "Whether Amazon Managed Prometheus keeps metrics, and has the rules of observability/alerts.yaml."
  type        = bool
  nullable    = false
}

variable "managed_grafana" {
  description = "Whether there is an Amazon Managed Grafana, for people of IAM Identity Center."
  type        = bool
  nullable    = false

  validation {
    condition     = !var.managed_grafana || var.managed_prometheus
    error_message = "Grafana shows what Managed Prometheus keeps."
  }
}

variable "database_alarms" {
  description = "Free storage in GiB and connections at which somebody has to look at the database."
  type = object({
    free_gib    = number
    connections = number
  })
  nullable = false

  validation {
    condition     = var.database_alarms.free_gib > 0 && var.database_alarms.connections > 0
    error_message = "More than 0."
  }
}

variable "log_retention_days" {
  description = "Days that logs of pods are kept."
  type        = number
  nullable    = false

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "A retention that CloudWatch has: 7, 14, 30, 60, 90, 180, 365, 400 or 731 days."
  }
}
