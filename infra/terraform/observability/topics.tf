# Where alarms go: page (somebody acts now) and ticket (on a working day), as in observability/README.md.

module "key" {
  source = "../modules/key"

  name        = "${local.name}-observability"
  description = "Alarms, metrics and logs"
  account_id  = var.account_id
  services = {
    "aps.amazonaws.com"        = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    "cloudwatch.amazonaws.com" = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    "logs.${var.region}.amazonaws.com" = {
      ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.region}:${var.account_id}:log-group:/birthday/${var.environment}/*" }
    }
  }
}

locals {
  topics = { page = var.pages, ticket = var.tickets }
  subscriptions = merge([
    for topic, addresses in local.topics : { for address in addresses : "${topic} ${address}" => { topic = topic, address = address } }
  ]...)
  topic_policy = { for topic in keys(local.topics) : topic => jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = ["aps.amazonaws.com", "cloudwatch.amazonaws.com"] }
        Action    = "sns:Publish"
        Resource  = "arn:aws:sns:${var.region}:${var.account_id}:${local.name}-${topic}"
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      },
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = "arn:aws:sns:${var.region}:${var.account_id}:${local.name}-${topic}"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  }) }
}

resource "aws_sns_topic" "this" {
  for_each          = local.topics
  name              = "${local.name}-${each.key}"
  kms_master_key_id = module.key.arn
}

resource "aws_sns_topic_policy" "this" {
  for_each = local.topics
  arn      = aws_sns_topic.this[each.key].arn
  policy   = local.topic_policy[each.key]
}

resource "aws_sns_topic_subscription" "this" {
  for_each  = local.subscriptions
  topic_arn = aws_sns_topic.this[each.value.topic].arn
  protocol  = startswith(each.value.address, "https://") ? "https" : "email"
  endpoint  = each.value.address
}
