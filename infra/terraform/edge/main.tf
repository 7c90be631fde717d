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
    key = "edge/terraform.tfstate"
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = local.tags
  }
}

# CloudFront takes certificates, rules and logs from this region only.
provider "aws" {
  alias               = "global"
  region              = "us-east-1"
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = local.tags
  }
}

locals {
  name = "birthday-${var.environment}"
  tags = {
    application = "birthday"
    environment = var.environment
    layer       = "edge"
  }
}
