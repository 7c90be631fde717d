module "key" {
  source = "../modules/key"

  name        = "${local.name}-data"
  description = "Data, backups and the master password"
  account_id  = var.account_id
  services = {
    "logs.${var.region}.amazonaws.com" = {
      ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.region}:${var.account_id}:log-group:/aws/rds/*/${local.name}/postgresql" }
    }
  }
}

# A key does not leave its region.
module "second_key" {
  source    = "../modules/key"
  providers = { aws = aws.second }

  name        = "${local.name}-data"
  description = "Copies of data and backups"
  account_id  = var.account_id
}
