# What everything else needs: the bucket of states, the roles of the pipelines, the bounds of every role.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # environments/<environment>/backend.hcl has the bucket.
  backend "s3" {
    key = "bootstrap/terraform.tfstate"
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      application = "birthday"
      environment = var.environment
      layer       = "bootstrap"
    }
  }
}

locals {
  name = "birthday-${var.environment}"
}

# Account-wide: what a forgotten setting of a single resource would leave open.

resource "aws_s3_account_public_access_block" "this" {
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_ebs_encryption_by_default" "this" {
  enabled = true
}

# Roles that services make for themselves once in an account; the bounds of our roles do not let controllers make them.
resource "aws_iam_service_linked_role" "this" {
  for_each         = var.service_linked_roles
  aws_service_name = each.value
}
