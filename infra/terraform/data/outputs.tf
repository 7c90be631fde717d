# What other layers read, in one parameter.

locals {
  published = {
    postgres            = var.postgres
    postgres_host       = one(concat([for instance in aws_db_instance.this : instance.address], [for cluster in aws_rds_cluster.this : cluster.endpoint]))
    postgres_identifier = var.postgres == "none" ? null : local.name
    master_secret_arn   = one(flatten([for database in concat(values(aws_db_instance.this), values(aws_rds_cluster.this)) : database.master_user_secret[*].secret_arn]))
    table               = one(aws_dynamodb_table.people[*].name)
    key_arn             = module.key.arn
  }
}

resource "aws_ssm_parameter" "published" {
  name        = "/birthday/${var.environment}/data"
  description = "What the layer data publishes"
  type        = "String"
  value       = jsonencode({ data = local.published })
}

output "published" {
  description = "What other layers and the values of the charts read."
  value       = local.published
}
