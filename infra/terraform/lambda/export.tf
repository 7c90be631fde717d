# The scheduled export, into a bucket of another account. Both sides say who may write: the function's role here, the bucket's policy there.

locals {
  exported       = var.export == null ? {} : { this = "this" }
  exports_bucket = var.export == null ? "" : "birthday-${var.environment}-exports-${var.export.account_id}"
  export_role    = "arn:aws:iam::${var.account_id}:role/${local.name}-export"

  # A key that another account uses names its role; KMS wants the policy of the account, too.
  exports_key_policy = var.export == null ? "" : jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${var.export.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Export"
        Effect    = "Allow"
        Principal = { AWS = local.export_role }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "kms:ViaService" = "s3.${var.export.region}.amazonaws.com" } }
      },
    ]
  })
}

resource "aws_kms_key" "exports" {
  for_each                = local.exported
  provider                = aws.exports
  description             = "Exports of ${local.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = local.exports_key_policy

  depends_on = [module.role]
}

module "exports" {
  for_each  = local.exported
  source    = "../modules/bucket"
  providers = { aws = aws.exports }

  name            = local.exports_bucket
  key_arn         = aws_kms_key.exports["this"].arn
  expiration_days = var.export.retention_days
  noncurrent_days = 30
  statements = jsonencode([{
    Sid       = "Export"
    Effect    = "Allow"
    Principal = { AWS = local.export_role }
    Action    = ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"]
    Resource  = "arn:aws:s3:::${local.exports_bucket}/${var.environment}/*"
  }])

  depends_on = [module.role]
}

module "schedule_role" {
  for_each = local.exported
  source   = "../modules/role"

  name                 = "${local.name}-schedule"
  description          = "The schedule calls the export"
  permissions_boundary = local.boundary
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = {
          "aws:SourceAccount" = var.account_id
          "aws:SourceArn"     = "arn:aws:scheduler:${var.region}:${var.account_id}:schedule-group/${local.name}"
        }
      }
    }]
  })
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "CallExport"
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = "arn:aws:lambda:${var.region}:${var.account_id}:function:${local.name}-export:live"
      }, {
      Sid      = "KeepFailures"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = "arn:aws:sqs:${var.region}:${var.account_id}:${local.name}-failed-exports"
    }]
  })
}

resource "aws_sqs_queue" "failed_exports" {
  for_each                  = local.exported
  name                      = "${local.name}-failed-exports"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_scheduler_schedule_group" "this" {
  for_each = local.exported
  name     = local.name
}

resource "aws_scheduler_schedule" "export" {
  for_each            = var.package == null ? {} : local.exported
  name                = "${local.name}-export"
  group_name          = aws_scheduler_schedule_group.this["this"].name
  schedule_expression = var.export.schedule
  kms_key_arn         = module.key.arn

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 15
  }

  target {
    arn      = aws_lambda_alias.live["export"].arn
    role_arn = module.schedule_role["this"].arn
    input    = jsonencode({ job = "export" })

    retry_policy {
      maximum_retry_attempts       = 2
      maximum_event_age_in_seconds = 3600
    }

    dead_letter_config {
      arn = aws_sqs_queue.failed_exports["this"].arn
    }
  }
}
