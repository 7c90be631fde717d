module "key" {
  source = "../modules/key"

  name        = "${local.name}-terraform"
  description = "States of Terraform"
  account_id  = var.account_id
}

# S3 writes logs of accesses with its own keys only.
module "logs" {
  source = "../modules/bucket"

  name            = "${local.name}-access-logs-${var.account_id}"
  expiration_days = var.log_retention_days
  noncurrent_days = 1
  force_destroy   = var.force_destroy
  statements = jsonencode([{
    Sid       = "AccessLogs"
    Effect    = "Allow"
    Principal = { Service = "logging.s3.amazonaws.com" }
    Action    = "s3:PutObject"
    Resource  = "arn:aws:s3:::${local.name}-access-logs-${var.account_id}/*"
    Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
  }])
}

module "states" {
  source = "../modules/bucket"

  name            = local.states
  key_arn         = module.key.arn
  logs_bucket     = module.logs.name
  noncurrent_days = 365
  force_destroy   = var.force_destroy
}

locals {
  states = "${local.name}-terraform-states-${var.account_id}"
}
