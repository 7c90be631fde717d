# Daily backups by AWS Backup, with a copy in the second region: for what has no replication of its own backups (Aurora, DynamoDB).

locals {
  backups = var.backups_in_second_region ? { this = "this" } : {}
  backed_up = concat(
    [for cluster in aws_rds_cluster.this : cluster.arn],
    [for table in aws_dynamodb_table.people : table.arn],
  )
}

resource "aws_backup_vault" "this" {
  for_each    = local.backups
  name        = local.name
  kms_key_arn = module.key.arn
}

resource "aws_backup_vault" "second" {
  for_each    = local.backups
  provider    = aws.second
  name        = local.name
  kms_key_arn = module.second_key.arn
}

# Nobody deletes a copy before its time, an administrator neither, once the three days of grace are over.
resource "aws_backup_vault_lock_configuration" "second" {
  for_each            = var.deletion_protection ? local.backups : {}
  provider            = aws.second
  backup_vault_name   = aws_backup_vault.second["this"].name
  min_retention_days  = 7
  max_retention_days  = 365
  changeable_for_days = 3
}

resource "aws_backup_plan" "this" {
  for_each = local.backups
  name     = local.name

  rule {
    rule_name         = "daily"
    target_vault_name = aws_backup_vault.this["this"].name
    schedule          = "cron(0 3 * * ? *)"
    start_window      = 60
    completion_window = 240

    lifecycle {
      delete_after = var.backup_days
    }

    copy_action {
      destination_vault_arn = aws_backup_vault.second["this"].arn

      lifecycle {
        delete_after = var.backup_days
      }
    }
  }
}

module "backup_role" {
  source = "../modules/role"

  name                 = "${local.name}-backup"
  description          = "AWS Backup copies and restores"
  permissions_boundary = local.boundary
  managed_policy_arns = [
    "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup",
    "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores",
  ]
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "backup.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_backup_selection" "this" {
  for_each     = local.backups
  name         = local.name
  plan_id      = aws_backup_plan.this["this"].id
  iam_role_arn = module.backup_role.arn
  resources    = local.backed_up
}
