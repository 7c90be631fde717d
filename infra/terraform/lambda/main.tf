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
    key = "lambda/terraform.tfstate"
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = local.tags
  }
}

# The account that owns the bucket of exports.
provider "aws" {
  alias  = "exports"
  region = var.export == null ? var.region : var.export.region

  dynamic "assume_role" {
    for_each = var.export == null ? [] : [var.export.owner_role_arn]

    content {
      role_arn = assume_role.value
    }
  }

  default_tags {
    tags = local.tags
  }
}

data "aws_ssm_parameter" "data" {
  name = "/birthday/${var.environment}/data"
}

locals {
  data = jsondecode(data.aws_ssm_parameter.data.insecure_value).data

  name     = "birthday-${var.environment}"
  boundary = "arn:aws:iam::${var.account_id}:policy/${local.name}-boundary"
  tags = {
    application = "birthday"
    environment = var.environment
    layer       = "lambda"
  }
}
