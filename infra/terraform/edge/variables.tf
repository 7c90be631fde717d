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

variable "zone" {
  description = "The domain whose Route 53 zone this layer makes. Its parent has to delegate to it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.zone))
    error_message = "A domain, like example.com."
  }
}

variable "hostname" {
  description = "The name of the service, in the zone."
  type        = string
  nullable    = false

  validation {
    condition     = var.hostname == var.zone || endswith(var.hostname, ".${var.zone}")
    error_message = "A name in the zone."
  }
}

variable "serve" {
  description = "Whether the Ingress has made its load balancer. false, the first time: only zone and certificates, which the Ingress needs."
  type        = bool
  default     = true
  nullable    = false
}

variable "ingress" {
  description = "The Ingress whose load balancer is the origin: namespace/name."
  type        = string
  default     = "app-space/hello-api"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]+/[a-z0-9-]+$", var.ingress))
    error_message = "namespace/name."
  }
}

variable "requests_per_address" {
  description = "Requests of one address in five minutes, above which it is refused."
  type        = number
  nullable    = false

  validation {
    condition     = var.requests_per_address >= 100 && var.requests_per_address <= 2000000
    error_message = "100 to 2,000,000."
  }
}

variable "price_class" {
  description = "Where CloudFront answers: PriceClass_100 (Europe and North America), PriceClass_200, or PriceClass_All."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "secondary" {
  description = "The same service in another region (the layer `lambda` publishes such a target): it answers while the primary does not. Null: none."
  type = object({
    domain_name = string
    zone_id     = string
  })
  default = null

  validation {
    condition     = var.secondary == null ? true : can(regex("^Z[A-Z0-9]+$", var.secondary.zone_id)) && strcontains(var.secondary.domain_name, ".")
    error_message = "A domain, and the zone that AWS has for it, like ZLY8HYME6SFDD."
  }
}

variable "shield_advanced" {
  description = "Whether Shield Advanced protects the edge: 3,000 USD a month for the organization, for a year."
  type        = bool
  default     = false
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that logs of requests are kept."
  type        = number
  nullable    = false

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "A retention that CloudWatch has: 7, 14, 30, 60, 90, 180, 365, 400 or 731 days."
  }
}
