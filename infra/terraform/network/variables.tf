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

variable "cidr" {
  description = "Addresses of the VPC: a /16. The environments differ, so that they can be connected."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^10\\.[0-9]{1,3}\\.0\\.0/16$", var.cidr)) && can(cidrhost(var.cidr, 0))
    error_message = "A /16 of 10.0.0.0/8."
  }
}

variable "zones" {
  description = "Availability zones, two or three. Changing their order moves subnets."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 3 && length(distinct(var.zones)) == length(var.zones)
    error_message = "Two or three different zones."
  }
  validation {
    condition     = alltrue([for zone in var.zones : startswith(zone, var.region)])
    error_message = "Zones of the region."
  }
  validation {
    condition     = var.environment != "prod" || length(var.zones) == 3
    error_message = "prod has three zones."
  }
}

variable "nat" {
  description = "NAT gateways: per-zone, single (a zone's outage takes the way out of all zones), or none (endpoints only)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["per-zone", "single", "none"], var.nat)
    error_message = "per-zone, single or none."
  }
}

variable "interface_endpoints" {
  description = "Services that are reached in the VPC, without NAT. Each costs an hour's price in each zone."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for service in var.interface_endpoints : can(regex("^[a-z0-9.-]+$", service))])
    error_message = "Names of services, like ecr.api."
  }
}

variable "log_retention_days" {
  description = "Days that flow logs are kept."
  type        = number
  nullable    = false

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "A retention that CloudWatch has: 7, 14, 30, 60, 90, 180, 365, 400 or 731 days."
  }
}

variable "bastion" {
  description = "Whether there is an instance through which Session Manager reaches the private control plane."
  type        = bool
  nullable    = false
}

variable "bastion_image_parameter" {
  description = "Public parameter of AWS that has the image of that instance."
  type        = string
  default     = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
  nullable    = false

  validation {
    condition     = startswith(var.bastion_image_parameter, "/aws/service/")
    error_message = "A public parameter of AWS, which begins with /aws/service/."
  }
}

variable "vpn" {
  description = "Client VPN into the VPC, instead of the bastion or beside it. Null: none."
  type = object({
    cidr                   = string
    server_certificate_arn = string
    saml_provider_arn      = string
  })
  default = null

  validation {
    condition     = var.vpn == null ? true : can(cidrhost(var.vpn.cidr, 0)) && var.vpn.cidr != var.cidr
    error_message = "Addresses for people, other than those of the VPC, like 172.16.0.0/22."
  }
}
