# PostgreSQL, as an instance of RDS or as a cluster of Aurora.

locals {
  instance = var.postgres == "instance" ? { this = "this" } : {}
  aurora   = var.postgres == "aurora" ? { this = "this" } : {}
  any      = var.postgres == "none" ? {} : { this = "this" }

  log_group = {
    instance = "/aws/rds/instance/${local.name}/postgresql"
    aurora   = "/aws/rds/cluster/${local.name}/postgresql"
    none     = ""
  }[var.postgres]

  # TLS for everybody, and who signed in. Statements are not logged: they have names and dates of birth as parameters.
  parameters = {
    "rds.force_ssl"              = "1"
    "log_connections"            = "1"
    "log_disconnections"         = "1"
    "log_lock_waits"             = "1"
    "log_statement"              = "none"
    "log_min_duration_statement" = "-1"
  }
}

resource "aws_db_subnet_group" "this" {
  for_each    = local.any
  name        = local.name
  description = "The database's subnets, which have no route out"
  subnet_ids  = local.network.database_subnet_ids
}

resource "aws_security_group" "database" {
  for_each    = local.any
  name        = "${local.name}-database"
  description = "PostgreSQL"
  vpc_id      = local.network.vpc_id

  tags = { Name = "${local.name}-database" }
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each                     = local.any
  security_group_id            = aws_security_group.database["this"].id
  description                  = "PostgreSQL, from nodes and pods"
  referenced_security_group_id = local.platform.cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_cloudwatch_log_group" "postgres" {
  for_each          = local.any
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = module.key.arn
}

module "monitoring_role" {
  source = "../modules/role"

  name                 = "${local.name}-rds-monitoring"
  description          = "Enhanced monitoring of RDS"
  permissions_boundary = local.boundary
  managed_policy_arns  = ["arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"]
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

# The instance.

resource "aws_db_parameter_group" "this" {
  for_each    = local.instance
  name        = "${local.name}-postgres${var.postgres_version}"
  family      = "postgres${var.postgres_version}"
  description = "TLS for everybody; connections are logged, statements are not"

  dynamic "parameter" {
    for_each = local.parameters

    content {
      name  = parameter.key
      value = parameter.value
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  for_each       = local.instance
  identifier     = local.name
  engine         = "postgres"
  engine_version = var.postgres_version
  instance_class = var.postgres_class
  db_name        = "people"
  username       = "postgres"

  # RDS makes the master password, keeps it in Secrets Manager, and changes it each week.
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = module.key.arn
  iam_database_authentication_enabled = true

  storage_type          = "gp3"
  allocated_storage     = var.postgres_storage_gib.first
  max_allocated_storage = var.postgres_storage_gib.most
  storage_encrypted     = true
  kms_key_id            = module.key.arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this["this"].name
  vpc_security_group_ids = [aws_security_group.database["this"].id]
  publicly_accessible    = false
  ca_cert_identifier     = "rds-ca-rsa2048-g1"
  parameter_group_name   = aws_db_parameter_group.this["this"].name

  backup_retention_period   = var.backup_days
  backup_window             = "01:00-02:00"
  maintenance_window        = "sun:02:30-sun:03:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = !var.deletion_protection
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.deletion_protection
  final_snapshot_identifier = "${local.name}-final"

  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql"]
  performance_insights_enabled    = true
  performance_insights_kms_key_id = module.key.arn
  monitoring_interval             = 60
  monitoring_role_arn             = module.monitoring_role.arn

  # RDS would make the log group without retention.
  depends_on = [aws_cloudwatch_log_group.postgres]
}

resource "aws_db_instance_automated_backups_replication" "this" {
  for_each               = var.backups_in_second_region ? local.instance : {}
  provider               = aws.second
  source_db_instance_arn = aws_db_instance.this["this"].arn
  kms_key_id             = module.second_key.arn
  retention_period       = var.backup_days
}

# Aurora.

resource "aws_rds_cluster_parameter_group" "this" {
  for_each    = local.aurora
  name        = "${local.name}-aurora-postgresql${var.postgres_version}"
  family      = "aurora-postgresql${var.postgres_version}"
  description = "TLS for everybody; connections are logged, statements are not"

  dynamic "parameter" {
    for_each = local.parameters

    content {
      name  = parameter.key
      value = parameter.value
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_rds_cluster" "this" {
  for_each           = local.aurora
  cluster_identifier = local.name
  engine             = "aurora-postgresql"
  engine_version     = var.postgres_version
  database_name      = "people"
  master_username    = "postgres"

  manage_master_user_password         = true
  master_user_secret_kms_key_id       = module.key.arn
  iam_database_authentication_enabled = true

  storage_encrypted = true
  kms_key_id        = module.key.arn

  db_subnet_group_name            = aws_db_subnet_group.this["this"].name
  vpc_security_group_ids          = [aws_security_group.database["this"].id]
  db_cluster_parameter_group_name = aws_rds_cluster_parameter_group.this["this"].name

  backup_retention_period      = var.backup_days
  preferred_backup_window      = "01:00-02:00"
  preferred_maintenance_window = "sun:02:30-sun:03:30"
  copy_tags_to_snapshot        = true
  deletion_protection          = var.deletion_protection
  skip_final_snapshot          = !var.deletion_protection
  final_snapshot_identifier    = "${local.name}-final"

  enabled_cloudwatch_logs_exports = ["postgresql"]

  depends_on = [aws_cloudwatch_log_group.postgres]
}

resource "aws_rds_cluster_instance" "this" {
  for_each           = var.postgres == "aurora" ? toset(var.multi_az ? ["1", "2"] : ["1"]) : []
  identifier         = "${local.name}-${each.key}"
  cluster_identifier = aws_rds_cluster.this["this"].id
  engine             = aws_rds_cluster.this["this"].engine
  instance_class     = var.postgres_class

  publicly_accessible             = false
  ca_cert_identifier              = "rds-ca-rsa2048-g1"
  auto_minor_version_upgrade      = true
  performance_insights_enabled    = true
  performance_insights_kms_key_id = module.key.arn
  monitoring_interval             = 60
  monitoring_role_arn             = module.monitoring_role.arn
}

# Only where the API signs in by a password. Terraform never has its value: README.md says how it is put there.

resource "aws_secretsmanager_secret" "database" {
  count                   = var.postgres != "none" && var.authentication == "password" ? 1 : 0
  name                    = "birthday/database"
  description             = "Password of the role hello_api in PostgreSQL"
  kms_key_id              = module.key.arn
  recovery_window_in_days = 30
}
