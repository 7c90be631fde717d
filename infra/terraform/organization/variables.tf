variable "account_id" {
  description = "The management account. Terraform stops if its credentials are for another one."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account has 12 digits."
  }
}

variable "region" {
  description = "The region of the provider; organizations have none."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.region))
    error_message = "A region is named like eu-central-1."
  }
}

variable "regions" {
  description = "Regions in which things may be made; us-east-1 is added, where CloudFront's parts are."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.regions) > 0 && alltrue([for region in var.regions : can(regex("^[a-z]{2}-[a-z]+-[0-9]$", region))])
    error_message = "At least one region, named like eu-central-1."
  }
}

variable "accounts" {
  description = "Accounts by name: the address of their owner, and their unit (production, development or security)."
  type = map(object({
    email = string
    unit  = string
  }))
  nullable = false

  validation {
    condition     = alltrue([for account in values(var.accounts) : contains(["production", "development", "security"], account.unit)])
    error_message = "production, development or security."
  }
  validation {
    condition     = length(distinct([for account in values(var.accounts) : account.email])) == length(var.accounts)
    error_message = "Each account has an address of its own."
  }
}
