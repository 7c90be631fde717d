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
    key = "data/terraform.tfstate"
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = local.tags
  }
}

# Copies of backups.
provider "aws" {
  alias               = "second"
  region              = var.second_region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = local.tags
  }
}

data "aws_ssm_parameter" "network" {
  name = "/birthday/${var.environment}/network"
}

data "aws_ssm_parameter" "platform" {
  name = "/birthday/${var.environment}/platform"
}

locals {
  network  = jsondecode(data.aws_ssm_parameter.network.insecure_value).network
  platform = jsondecode(data.aws_ssm_parameter.platform.insecure_value).platform

  name     = "birthday-${var.environment}"
  boundary = "arn:aws:iam::${var.account_id}:policy/${local.name}-boundary"
  tags = {
    application = "birthday"
    environment = var.environment
    layer       = "data"
  }
}
