# The API as a function: the same component, in a runtime of its own. It keeps people in DynamoDB.

module "key" {
  source = "../modules/key"

  name        = "${local.name}-lambda"
  description = "Settings and logs of the function"
  account_id  = var.account_id
  services = {
    "logs.${var.region}.amazonaws.com" = {
      ArnLike = {
        "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.region}:${var.account_id}:log-group:/aws/lambda/${local.name}-*"
      }
    }
  }
}

locals {
  made      = var.package == null ? {} : { for name, on in { api = true, export = var.export != null } : name => name if on }
  functions = { for name, on in { api = true, export = var.export != null } : name => "${local.name}-${name}" if on }

  variables = { BIRTHDAY_KEY_VALUE = "dynamodb:people?region=${var.region}" }

  export_variables = var.export == null ? {} : {
    BIRTHDAY_EXPORT_BUCKET = local.exports_bucket
    BIRTHDAY_EXPORT_PREFIX = "${var.environment}/"
    BIRTHDAY_EXPORT_REGION = var.export.region
  }

  statements = { for name, function in local.functions : name => concat(
    [jsonencode({
      Sid      = "Log"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "arn:aws:logs:${var.region}:${var.account_id}:log-group:/aws/lambda/${function}:*"
    })],
    [jsonencode({
      Sid      = "Trace"
      Effect   = "Allow"
      Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      Resource = "*"
    })],
    [
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
        Resource  = local.data.key_arn
        Condition = { StringEquals = { "kms:ViaService" = "dynamodb.${var.region}.amazonaws.com" } }
      }),
    ],
    name != "export" ? [] : [
      jsonencode({
        Sid       = "WriteExports"
        Effect    = "Allow"
        Action    = ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"]
        Resource  = "arn:aws:s3:::${local.exports_bucket}/${var.environment}/*"
        Condition = { StringEquals = { "s3:ResourceAccount" = var.export.account_id } }
      }),
      jsonencode({
        Sid       = "EncryptExports"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "arn:aws:kms:${var.export.region}:${var.export.account_id}:key/*"
        Condition = { StringEquals = { "kms:ViaService" = "s3.${var.export.region}.amazonaws.com" } }
      }),
    ],
  ) }
}

module "role" {
  for_each = local.functions
  source   = "../modules/role"

  name                 = each.value
  description          = "The function ${each.value}"
  permissions_boundary = local.boundary
  policy               = "{\"Version\":\"2012-10-17\",\"Statement\":[${join(",", local.statements[each.key])}]}"
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_cloudwatch_log_group" "function" {
  for_each          = local.functions
  name              = "/aws/lambda/${each.value}"
  retention_in_days = var.log_retention_days
  kms_key_id        = module.key.arn
}

resource "aws_lambda_function" "this" {
  for_each         = local.made
  function_name    = local.functions[each.key]
  description      = "The birthday API: ${each.key}"
  role             = module.role[each.key].arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = ["arm64"]
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  memory_size      = var.memory_mib
  # The component bounds a request at 10 s. An export takes as long as Lambda lets it.
  timeout                        = each.key == "api" ? 15 : 900
  reserved_concurrent_executions = each.key == "api" ? var.concurrency.most : 1
  publish                        = true
  kms_key_arn                    = module.key.arn

  environment {
    variables = merge(
      local.variables,
      each.key == "export" ? local.export_variables : {},
      var.api_token == null ? {} : { SPIN_VARIABLE_API_TOKEN = var.api_token },
    )
  }

  tracing_config {
    mode = "Active"
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.function[each.key].name
  }
}

# API Gateway calls the alias, so that a release can be taken back.
resource "aws_lambda_alias" "live" {
  for_each         = local.made
  name             = "live"
  function_name    = aws_lambda_function.this[each.key].function_name
  function_version = aws_lambda_function.this[each.key].version

  lifecycle {
    # A release moves it, and a rollback moves it back.
    ignore_changes = [function_version]
  }
}

resource "aws_lambda_provisioned_concurrency_config" "this" {
  count                             = var.concurrency.warm > 0 && var.package != null ? 1 : 0
  function_name                     = aws_lambda_function.this["api"].function_name
  qualifier                         = aws_lambda_alias.live["api"].name
  provisioned_concurrent_executions = var.concurrency.warm
}
