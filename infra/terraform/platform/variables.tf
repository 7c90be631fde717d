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
  description = "The region to which images are copied. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.second_region == null ? true : can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.second_region)) && var.second_region != var.region
    error_message = "Another region, named like eu-west-1."
  }
}

variable "kubernetes_version" {
  description = "Version of the control plane. `aws eks describe-cluster-versions` has those that EKS supports."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "Like 1.35."
  }
}

variable "administrators" {
  description = "ARNs of roles of people who administer the cluster."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.administrators : can(regex("^arn:aws:iam::[0-9]{12}:role/[A-Za-z0-9/_+=,.@-]+$", arn))])
    error_message = "ARNs of roles, no users and no wildcard."
  }
}

variable "system_nodes" {
  description = "Nodes for what keeps the cluster running, on demand. Karpenter makes the others."
  type = object({
    instance_types = list(string)
    min            = number
    max            = number
    disk_gib       = number
  })
  nullable = false

  validation {
    condition     = var.system_nodes.min >= 1 && var.system_nodes.max >= var.system_nodes.min
    error_message = "At least one node, and no more at least than at most."
  }
  validation {
    condition     = var.environment != "prod" || var.system_nodes.min >= 3
    error_message = "prod has a node in each of three zones."
  }
  validation {
    condition     = var.system_nodes.disk_gib >= 20
    error_message = "At least 20 GiB."
  }
  validation {
    condition     = length(var.system_nodes.instance_types) > 0
    error_message = "At least one type of instance, of arm64."
  }
}

variable "addon_versions" {
  description = "Versions of add-ons. One that is not named gets EKS's default for the version of Kubernetes."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = length(setsubtract(keys(var.addon_versions), [
      "aws-ebs-csi-driver", "coredns", "eks-pod-identity-agent", "kube-proxy", "vpc-cni"
    ])) == 0
    error_message = "aws-ebs-csi-driver, coredns, eks-pod-identity-agent, kube-proxy or vpc-cni."
  }
}

variable "irsa" {
  description = "Whether the cluster's issuer is an identity provider of the account, for IRSA beside Pod Identity."
  type        = bool
  default     = false
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that logs of the control plane are kept."
  type        = number
  nullable    = false

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "A retention that CloudWatch has: 7, 14, 30, 60, 90, 180, 365, 400 or 731 days."
  }
}

variable "repositories" {
  description = "Repositories of images and charts."
  type        = set(string)
  default     = ["birthday-host"]
  nullable    = false

  validation {
    condition     = alltrue([for name in var.repositories : can(regex("^birthday-[a-z0-9/_-]+$", name))])
    error_message = "Names begin with birthday-, which is what is copied to the second region."
  }
}

variable "kept_images" {
  description = "Released images that are kept."
  type        = number
  nullable    = false

  validation {
    condition     = var.kept_images >= 5
    error_message = "At least 5, to roll back to."
  }
}

variable "hosted_zone_id" {
  description = "The Route 53 zone in which ExternalDNS makes records. Null: ExternalDNS gets no role."
  type        = string
  default     = null

  validation {
    condition     = var.hosted_zone_id == null ? true : can(regex("^Z[A-Z0-9]+$", var.hosted_zone_id))
    error_message = "A zone is named like Z0123456789ABCDEFGHIJ."
  }
}
