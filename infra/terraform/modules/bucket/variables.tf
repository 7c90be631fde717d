variable "name" {
  description = "Name of the bucket, unique among all buckets of AWS."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 63 of a-z, 0-9 and -."
  }
}

variable "key_arn" {
  description = "KMS key of the objects. Null: a key of S3, for receivers of logs that cannot use another one."
  type        = string
  default     = null

  validation {
    condition     = var.key_arn == null ? true : can(regex("^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/", var.key_arn))
    error_message = "The ARN of a key; an alias does not work in another account."
  }
}

variable "logs_bucket" {
  description = "Bucket that gets the log of accesses. Null: none is written."
  type        = string
  default     = null
}

variable "statements" {
  description = "Further statements of the bucket's policy, as a JSON array."
  type        = string
  default     = "[]"
  nullable    = false

  validation {
    condition = alltrue([
      for statement in jsondecode(var.statements) :
      statement.Effect == "Deny" || (statement.Principal != "*" && try(statement.Principal.AWS, "") != "*")
    ])
    error_message = "A bucket allows nothing to everybody."
  }
}

variable "noncurrent_days" {
  description = "Days that an object is kept after it was replaced or deleted."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "At least a day."
  }
}

variable "expiration_days" {
  description = "Days after which an object is deleted. 0: never."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.expiration_days >= 0
    error_message = "No less than 0."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` deletes the objects, too. Only where they can be lost."
  type        = bool
  default     = false
  nullable    = false
}
