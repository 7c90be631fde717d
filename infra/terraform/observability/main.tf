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
    key = "observability/terraform.tfstate"
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = local.tags
  }
}

data "aws_ssm_parameter" "layer" {
  for_each = toset(["platform", "data", "edge"])
  name     = "/birthday/${var.environment}/${each.key}"
}

locals {
  platform = jsondecode(data.aws_ssm_parameter.layer["platform"].insecure_value).platform
  data     = jsondecode(data.aws_ssm_parameter.layer["data"].insecure_value).data
  edge     = jsondecode(data.aws_ssm_parameter.layer["edge"].insecure_value).edge

  name     = "birthday-${var.environment}"
  boundary = "arn:aws:iam::${var.account_id}:policy/${local.name}-boundary"
  tags = {
    application = "birthday"
    environment = var.environment
    layer       = "observability"
  }
}
