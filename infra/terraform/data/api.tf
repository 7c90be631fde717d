# What the API's pods may do: sign in to PostgreSQL as hello_api by a token (but with `authentication = "password"`), and use the table.
# hello_api.sql makes this role of PostgreSQL.

locals {
  resource_id = one(concat(
    [for instance in aws_db_instance.this : instance.resource_id],
    [for cluster in aws_rds_cluster.this : cluster.cluster_resource_id],
  ))

  api_statements = concat(
    var.postgres != "none" && var.authentication == "iam" ? [jsonencode({
      Sid      = "SignIn"
      Effect   = "Allow"
      Action   = ["rds-db:connect"]
      Resource = "arn:aws:rds-db:${var.region}:${var.account_id}:dbuser:${local.resource_id}/hello_api"
    })] : [],
    var.dynamodb ? [
      jsonencode({
        Sid    = "UseTable"
        Effect = "Allow"
        Action = [
          "dynamodb:BatchGetItem",
          "dynamodb:BatchWriteItem",
          "dynamodb:DeleteItem",
          "dynamodb:GetItem",
          "dynamodb:PutItem",
          "dynamodb:Scan",
        ]
        Resource = "arn:aws:dynamodb:${var.region}:${var.account_id}:table/people"
      }),
      jsonencode({
        Sid       = "UseKeyOfTable"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey"]
        Resource  = module.key.arn
        Condition = { StringEquals = { "kms:ViaService" = "dynamodb.${var.region}.amazonaws.com" } }
      }),
    ] : [],
  )
}

module "api_role" {
  source = "../modules/pod-role"

  name                 = "${local.name}-hello-api"
  description          = "The API's pods"
  permissions_boundary = local.boundary
  namespace            = var.namespace
  service_account      = var.service_account
  policy               = length(local.api_statements) == 0 ? null : "{\"Version\":\"2012-10-17\",\"Statement\":[${join(",", local.api_statements)}]}"
  cluster = {
    name              = local.platform.cluster_name
    arn               = local.platform.cluster_arn
    account_id        = var.account_id
    oidc_provider_arn = local.platform.oidc_provider_arn
  }
}
