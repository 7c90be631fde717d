# WAF: what is refused before it costs anything, and Shield Advanced by variable.

locals {
  # In the order in which they are asked. Amazon keeps them.
  managed_rules = {
    AWSManagedRulesAmazonIpReputationList = 1
    AWSManagedRulesKnownBadInputsRuleSet  = 2
    AWSManagedRulesCommonRuleSet          = 3
  }
}

resource "aws_wafv2_web_acl" "this" {
  provider    = aws.global
  name        = local.name
  description = "The edge of ${local.name}"
  scope       = "CLOUDFRONT"

  default_action {
    allow {}
  }

  rule {
    name     = "requests-per-address"
    priority = 0

    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }

    statement {
      rate_based_statement {
        limit                 = var.requests_per_address
        evaluation_window_sec = 300
        aggregate_key_type    = "IP"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${local.name}-requests-per-address"
      sampled_requests_enabled   = false
    }
  }

  dynamic "rule" {
    for_each = local.managed_rules

    content {
      name     = rule.key
      priority = rule.value

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key

          # POST /populate has more than 8 KiB; the component bounds every other body at 4 KiB itself.
          dynamic "rule_action_override" {
            for_each = rule.key == "AWSManagedRulesCommonRuleSet" ? ["SizeRestrictions_BODY"] : []

            content {
              name = rule_action_override.value

              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${local.name}-${rule.key}"
        sampled_requests_enabled   = false
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = local.name
    # Samples have whole requests, with their tokens.
    sampled_requests_enabled = false
  }
}

# WAF demands the prefix.
resource "aws_cloudwatch_log_group" "firewall" {
  provider          = aws.global
  name              = "aws-waf-logs-${local.name}-edge"
  retention_in_days = var.log_retention_days
  kms_key_id        = module.logs_key.arn
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  provider                = aws.global
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall.arn]

  redacted_fields {
    single_header {
      name = "authorization"
    }
  }

  # Only what was refused or counted.
  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }

      condition {
        action_condition {
          action = "COUNT"
        }
      }
    }
  }
}

resource "aws_shield_subscription" "this" {
  count      = var.shield_advanced ? 1 : 0
  auto_renew = "DISABLED"
}

resource "aws_shield_protection" "distribution" {
  count        = var.shield_advanced && var.serve ? 1 : 0
  name         = "${local.name}-distribution"
  resource_arn = aws_cloudfront_distribution.this[0].arn

  depends_on = [aws_shield_subscription.this]
}

resource "aws_shield_protection" "zone" {
  count        = var.shield_advanced ? 1 : 0
  name         = "${local.name}-zone"
  resource_arn = aws_route53_zone.this.arn

  depends_on = [aws_shield_subscription.this]
}
