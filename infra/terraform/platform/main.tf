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
    key = "platform/terraform.tfstate"
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = local.tags
  }
}

locals {
  name     = "birthday-${var.environment}"
  boundary = "arn:aws:iam::${var.account_id}:policy/${local.name}-boundary"
  tags = {
    application = "birthday"
    environment = var.environment
    layer       = "platform"
  }
}
