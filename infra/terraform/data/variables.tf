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

variable "second_region" {
  description = "The region that has copies of backups, and a replica of the table where `global_table` is on."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.second_region)) && var.second_region != var.region
    error_message = "Another region, named like eu-west-1."
  }
}

variable "postgres" {
  description = "PostgreSQL: instance (RDS), aurora, or none (DynamoDB holds the data)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["instance", "aurora", "none"], var.postgres)
    error_message = "instance, aurora or none."
  }
}

variable "postgres_version" {
  description = "Major version of PostgreSQL. AWS chooses the minor version, and raises it."
  type        = string
  default     = "17"
  nullable    = false

  validation {
    condition     = can(regex("^1[5-9]$", var.postgres_version))
    error_message = "15 to 19."
  }
}

variable "postgres_class" {
  description = "Class of the instances, like db.t4g.micro."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.postgres_class, "db.")
    error_message = "A class is named like db.t4g.micro."
  }
}

variable "postgres_storage_gib" {
  description = "Storage at first, and the most that it grows to. Aurora grows by itself."
  type = object({
    first = number
    most  = number
  })
  nullable = false

  validation {
    condition     = var.postgres_storage_gib.first >= 20 && var.postgres_storage_gib.most > var.postgres_storage_gib.first
    error_message = "At least 20 GiB, and more at most."
  }
}

variable "multi_az" {
  description = "Whether a standby in another zone takes over (Aurora: whether there is a second instance)."
  type        = bool
  nullable    = false

  validation {
    condition     = var.environment != "prod" || var.multi_az
    error_message = "prod survives a zone."
  }
}

variable "backup_days" {
  description = "Days to each of whose seconds the database can be restored."
  type        = number
  nullable    = false

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "1 to 35 days."
  }
  validation {
    condition     = var.environment != "prod" || var.backup_days >= 30
    error_message = "prod keeps 30 days."
  }
}

variable "backups_in_second_region" {
  description = "Whether backups are copied to the second region."
  type        = bool
  nullable    = false

  validation {
    condition     = var.environment != "prod" || var.backups_in_second_region
    error_message = "prod survives a region."
  }
}

variable "deletion_protection" {
  description = "Whether database and table refuse to be deleted."
  type        = bool
  nullable    = false

  validation {
    condition     = var.environment != "prod" || var.deletion_protection
    error_message = "prod is protected."
  }
}

variable "authentication" {
  description = "How the API signs in: iam (a token of its role; no password anywhere), or password (in the secret `birthday/database`)."
  type        = string
  default     = "iam"
  nullable    = false

  validation {
    condition     = contains(["iam", "password"], var.authentication)
    error_message = "iam or password."
  }
}

variable "dynamodb" {
  description = "Whether there is the table `people`, for the host's `--key-value dynamodb:people` and for the Lambda."
  type        = bool
  nullable    = false
}

variable "global_table" {
  description = "Whether the table has a replica in the second region."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.global_table || var.dynamodb
    error_message = "There is no table."
  }
}

variable "namespace" {
  description = "Namespace of the API in the cluster."
  type        = string
  default     = "app-space"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]{1,63}$", var.namespace))
    error_message = "A name of Kubernetes, no pattern."
  }
}

variable "service_account" {
  description = "Service account of the API, which the chart makes."
  type        = string
  default     = "hello-api"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]{1,63}$", var.service_account))
    error_message = "A name of Kubernetes, no pattern."
  }
}

variable "log_retention_days" {
  description = "Days that PostgreSQL's logs are kept."
  type        = number
  nullable    = false

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "A retention that CloudWatch has: 7, 14, 30, 60, 90, 180, 365, 400 or 731 days."
  }
}
