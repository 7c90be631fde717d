# Who connected to whom.

module "logs_key" {
  source = "../modules/key"

  name        = "${local.name}-network-logs"
  description = "Logs of the network"
  account_id  = var.account_id
  services = {
    "logs.${var.region}.amazonaws.com" = {
      ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.region}:${var.account_id}:log-group:/birthday/${var.environment}/network/*" }
    }
  }
}

locals {
  flow_logs = "/birthday/${var.environment}/network/flow"
}

resource "aws_cloudwatch_log_group" "flow" {
  name              = local.flow_logs
  retention_in_days = var.log_retention_days
  kms_key_id        = module.logs_key.arn
}

module "flow_logs_role" {
  source = "../modules/role"

  name                 = "${local.name}-flow-logs"
  description          = "VPC flow logs write to their log group"
  permissions_boundary = local.boundary
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:aws:ec2:${var.region}:${var.account_id}:vpc-flow-log/*" }
      }
    }]
  })
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid    = "Write"
      Effect = "Allow"
      Action = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = [
        "arn:aws:logs:${var.region}:${var.account_id}:log-group:${local.flow_logs}",
        "arn:aws:logs:${var.region}:${var.account_id}:log-group:${local.flow_logs}:*",
      ]
      }, {
      Sid      = "Find"
      Effect   = "Allow"
      Action   = ["logs:DescribeLogGroups"]
      Resource = "arn:aws:logs:${var.region}:${var.account_id}:log-group:*"
    }]
  })
}

resource "aws_flow_log" "this" {
  vpc_id                   = aws_vpc.this.id
  traffic_type             = "ALL"
  iam_role_arn             = module.flow_logs_role.arn
  log_destination          = aws_cloudwatch_log_group.flow.arn
  max_aggregation_interval = 60
}
