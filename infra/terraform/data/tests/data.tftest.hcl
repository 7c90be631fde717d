mock_provider "aws" {
  source = "../tests/mocks"
}

mock_provider "aws" {
  alias = "second"

  mock_resource "aws_kms_key" {
    override_during = plan
    defaults        = { arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-4000-8000-000000000009" }
  }

  mock_resource "aws_backup_vault" {
    override_during = plan
    defaults        = { arn = "arn:aws:backup:eu-west-1:123456789012:backup-vault:mock" }
  }
}

run "data" {
  command = plan

  # Nothing is public.
  assert {
    condition     = alltrue([for instance in aws_db_instance.this : !instance.publicly_accessible])
    error_message = "the database has no public address"
  }
  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_ingress_rule.database :
      rule.referenced_security_group_id == local.platform.cluster_security_group_id && rule.cidr_ipv4 == null && rule.from_port == 5432 && rule.to_port == 5432
    ])
    error_message = "the database answers the cluster, and nobody else"
  }
  assert {
    condition     = alltrue([for group in aws_db_subnet_group.this : toset(group.subnet_ids) == toset(local.network.database_subnet_ids)])
    error_message = "the database is in the subnets that have no route out"
  }

  # Everything is encrypted.
  assert {
    condition     = alltrue([for instance in aws_db_instance.this : instance.storage_encrypted && instance.kms_key_id == module.key.arn])
    error_message = "the database is encrypted by our key"
  }
  assert {
    condition     = alltrue([for instance in aws_db_instance.this : instance.performance_insights_kms_key_id == module.key.arn])
    error_message = "what Performance Insights keeps is encrypted by our key"
  }
  assert {
    condition     = alltrue([for group in aws_db_parameter_group.this : { for parameter in group.parameter : parameter.name => parameter.value }["rds.force_ssl"] == "1"])
    error_message = "PostgreSQL refuses connections without TLS"
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.postgres : group.kms_key_id == module.key.arn])
    error_message = "logs are encrypted by our key"
  }
  assert {
    condition     = alltrue([for table in aws_dynamodb_table.people : table.server_side_encryption[0].enabled && table.server_side_encryption[0].kms_key_arn == module.key.arn])
    error_message = "the table is encrypted by our key"
  }
  assert {
    condition     = module.key.rotates && module.second_key.rotates
    error_message = "keys are rotated"
  }

  # Secrets.
  assert {
    condition = alltrue([
      for instance in aws_db_instance.this :
      instance.manage_master_user_password == true && instance.master_user_secret_kms_key_id == module.key.arn && instance.password == null
    ])
    error_message = "RDS keeps the master password, and Terraform never has it"
  }
  assert {
    condition     = alltrue([for instance in aws_db_instance.this : instance.iam_database_authentication_enabled])
    error_message = "roles of the database may sign in by IAM"
  }
  assert {
    condition     = length(aws_secretsmanager_secret.database) == 0
    error_message = "there is no password of the API"
  }
  assert {
    condition = (
      yamldecode(file("../../../charts/hello-api/values.aws.yaml")).host.postgresAuth == "aws-iam"
      && yamldecode(file("../../../charts/hello-api/values.aws.yaml")).serviceAccount.name == var.service_account
      && startswith(yamldecode(file("../../../charts/hello-api/values.aws.yaml")).variables.database_url, "postgres://hello_api@")
      && endswith(yamldecode(file("../../../charts/hello-api/values.aws.yaml")).variables.database_url, "/people?sslmode=verify-full")
      && !can(yamldecode(file("../../../charts/hello-api/values.aws.yaml")).externalSecret)
    )
    error_message = "the chart signs in as hello_api by a token, as the service account that has the role"
  }
  assert {
    condition = (
      var.authentication == "iam"
      && strcontains(file("hello_api.sql"), regex("CREATE TABLE [^;]*;", file("../../../charts/postgres-db/files/migration.sql")))
      && strcontains(file("hello_api.sql"), "GRANT rds_iam TO hello_api;")
    )
    error_message = "the SQL makes the table of the chart's migration, and a role that signs in by a token"
  }
  assert {
    condition = alltrue([
      for group in aws_db_parameter_group.this :
      { for parameter in group.parameter : parameter.name => parameter.value }["log_statement"] == "none"
      && { for parameter in group.parameter : parameter.name => parameter.value }["log_min_duration_statement"] == "-1"
    ])
    error_message = "no statement is logged"
  }

  # What is lost.
  assert {
    condition     = var.environment != "prod" || alltrue([for instance in aws_db_instance.this : instance.multi_az])
    error_message = "prod survives a zone"
  }
  assert {
    condition     = alltrue([for instance in aws_db_instance.this : instance.backup_retention_period == var.backup_days]) && (var.environment != "prod" || var.backup_days >= 30)
    error_message = "prod can be restored to each second of 30 days"
  }
  assert {
    condition = var.environment != "prod" || [
      for replication in aws_db_instance_automated_backups_replication.this : replication.kms_key_id
    ] == ["arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-4000-8000-000000000009"]
    error_message = "prod's backups are in the second region, encrypted by its key"
  }
  assert {
    condition     = var.environment != "prod" || alltrue([for instance in aws_db_instance.this : instance.deletion_protection && !instance.skip_final_snapshot && !instance.delete_automated_backups])
    error_message = "prod is not deleted by mistake"
  }
  assert {
    condition     = var.environment != "prod" || alltrue([for table in aws_dynamodb_table.people : table.deletion_protection_enabled])
    error_message = "nor is its table"
  }
  assert {
    condition     = alltrue([for table in aws_dynamodb_table.people : table.point_in_time_recovery[0].enabled])
    error_message = "the table can be restored to each second"
  }
  assert {
    condition     = var.environment != "prod" || [for lock in aws_backup_vault_lock_configuration.second : lock.changeable_for_days] == [3]
    error_message = "nobody deletes prod's copies"
  }
  assert {
    condition     = alltrue([for plan in aws_backup_plan.this : one(one(plan.rule).copy_action).destination_vault_arn == "arn:aws:backup:eu-west-1:123456789012:backup-vault:mock"])
    error_message = "backups are copied to the second region"
  }

  # The table is the one that the host reads (docs/key-value.md).
  assert {
    condition = alltrue([
      for table in aws_dynamodb_table.people :
      table.name == "people" && table.hash_key == "PK" && table.range_key == null && one(table.attribute) == { name = "PK", type = "S" }
    ])
    error_message = "the table has the name and the key that the host expects"
  }
  assert {
    condition     = alltrue([for instance in aws_db_instance.this : instance.db_name == "people"])
    error_message = "the database has the name that the chart expects"
  }

  # Trust.
  assert {
    condition = jsondecode(module.api_role.trust) == {
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "pods.eks.amazonaws.com" }
        Action    = ["sts:AssumeRole", "sts:TagSession"]
        Condition = {
          StringEquals = {
            "aws:SourceAccount"                         = var.account_id
            "aws:RequestTag/kubernetes-namespace"       = "app-space"
            "aws:RequestTag/kubernetes-service-account" = "hello-api"
          }
          ArnEquals = { "aws:SourceArn" = local.platform.cluster_arn }
        }
      }]
    }
    error_message = "only the API's pods are the API"
  }
  assert {
    condition = jsondecode(module.monitoring_role.trust) == {
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "monitoring.rds.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      }]
    }
    error_message = "only RDS of this account takes the role of its monitoring"
  }
  assert {
    condition = jsondecode(module.backup_role.trust) == {
      Version   = "2012-10-17"
      Statement = [{ Effect = "Allow", Principal = { Service = "backup.amazonaws.com" }, Action = "sts:AssumeRole" }]
    }
    error_message = "only AWS Backup takes the role of backups"
  }

  # Permissions.
  assert {
    condition = jsondecode(module.api_role.policy) == {
      Version = "2012-10-17"
      Statement = [
        {
          Sid      = "SignIn"
          Effect   = "Allow"
          Action   = ["rds-db:connect"]
          Resource = "arn:aws:rds-db:eu-central-1:${var.account_id}:dbuser:db-ABCDEFGHIJKL/hello_api"
        },
        {
          Sid    = "UseTable"
          Effect = "Allow"
          Action = [
            "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan",
          ]
          Resource = "arn:aws:dynamodb:eu-central-1:${var.account_id}:table/people"
        },
        {
          Sid       = "UseKeyOfTable"
          Effect    = "Allow"
          Action    = ["kms:Decrypt", "kms:DescribeKey"]
          Resource  = module.key.arn
          Condition = { StringEquals = { "kms:ViaService" = "dynamodb.eu-central-1.amazonaws.com" } }
        },
      ]
    }
    error_message = "the API signs in as hello_api, uses its table, and does nothing else"
  }
  assert {
    condition = alltrue([
      for role in [module.api_role, module.monitoring_role, module.backup_role] :
      role.permissions_boundary == "arn:aws:iam::${var.account_id}:policy/birthday-${var.environment}-boundary"
    ])
    error_message = "each role is bounded"
  }

  # Contract.
  assert {
    condition     = keys(local.published) == keys(jsondecode(regex("(?s)<<-JSON\n(.*?)\n *JSON", file("../tests/mocks/published.tfmock.hcl"))[0]).data)
    error_message = "what is published is what the tests of other layers have"
  }
}

run "aurora" {
  command = plan

  variables {
    postgres     = "aurora"
    multi_az     = true
    global_table = true
  }

  assert {
    condition = (
      aws_rds_cluster.this["this"].storage_encrypted
      && aws_rds_cluster.this["this"].kms_key_id == module.key.arn
      && aws_rds_cluster.this["this"].iam_database_authentication_enabled
      && aws_rds_cluster.this["this"].manage_master_user_password == true
      && aws_rds_cluster.this["this"].backup_retention_period == var.backup_days
      && aws_rds_cluster.this["this"].deletion_protection == var.deletion_protection
    )
    error_message = "Aurora is as the instance is"
  }
  assert {
    condition     = { for parameter in aws_rds_cluster_parameter_group.this["this"].parameter : parameter.name => parameter.value }["rds.force_ssl"] == "1"
    error_message = "Aurora refuses connections without TLS"
  }
  assert {
    condition     = length(aws_rds_cluster_instance.this) == 2 && alltrue([for instance in aws_rds_cluster_instance.this : !instance.publicly_accessible])
    error_message = "a second instance takes over, and none is public"
  }
  assert {
    condition     = length(aws_db_instance.this) == 0
    error_message = "there is one database"
  }
  assert {
    condition     = jsondecode(module.api_role.policy).Statement[0].Resource == "arn:aws:rds-db:eu-central-1:${var.account_id}:dbuser:cluster-ABCDEFGHIJKL/hello_api"
    error_message = "the API signs in to the cluster"
  }
  assert {
    condition = (
      one(aws_dynamodb_table.people[0].replica).region_name == var.second_region
      && one(aws_dynamodb_table.people[0].replica).kms_key_arn == "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-4000-8000-000000000009"
      && one(aws_dynamodb_table.people[0].replica).point_in_time_recovery
    )
    error_message = "the replica is in the second region, encrypted by its key"
  }
}

run "password" {
  command = plan

  variables {
    authentication = "password"
  }

  assert {
    condition     = [for secret in aws_secretsmanager_secret.database : [secret.name, secret.kms_key_id]] == [["birthday/database", module.key.arn]]
    error_message = "the password is in one secret, encrypted by our key"
  }
  assert {
    condition     = [for statement in jsondecode(module.api_role.policy).Statement : statement.Sid] == ["UseTable", "UseKeyOfTable"]
    error_message = "who has a password gets no token"
  }
}

run "dynamodb_alone" {
  command = plan

  variables {
    postgres = "none"
  }

  assert {
    condition     = length(aws_db_instance.this) + length(aws_rds_cluster.this) + length(aws_security_group.database) == 0
    error_message = "there is no database"
  }
}

# Whatever the variables of the environment are: of prod's, one is wrong.

run "prod_survives_a_zone" {
  command = plan

  variables {
    environment              = "prod"
    multi_az                 = false
    backup_days              = 35
    backups_in_second_region = true
    deletion_protection      = true
  }

  expect_failures = [var.multi_az]
}

run "prod_survives_a_region" {
  command = plan

  variables {
    environment              = "prod"
    multi_az                 = true
    backup_days              = 35
    backups_in_second_region = false
    deletion_protection      = true
  }

  expect_failures = [var.backups_in_second_region]
}

run "prod_is_protected" {
  command = plan

  variables {
    environment              = "prod"
    multi_az                 = true
    backup_days              = 35
    backups_in_second_region = true
    deletion_protection      = false
  }

  expect_failures = [var.deletion_protection]
}

run "prod_keeps_backups" {
  command = plan

  variables {
    environment              = "prod"
    multi_az                 = true
    backup_days              = 7
    backups_in_second_region = true
    deletion_protection      = true
  }

  expect_failures = [var.backup_days]
}
