mock_provider "aws" {
  source = "../tests/mocks"
}

run "observability" {
  command = plan

  # Everything is encrypted.
  assert {
    condition     = alltrue([for topic in aws_sns_topic.this : topic.kms_master_key_id == module.key.arn]) && module.key.rotates
    error_message = "alarms are encrypted by our key"
  }
  assert {
    condition     = aws_cloudwatch_log_group.pods.kms_key_id == module.key.arn
    error_message = "logs are encrypted by our key"
  }
  assert {
    condition     = alltrue([for workspace in aws_prometheus_workspace.this : workspace.kms_key_arn == module.key.arn])
    error_message = "metrics are encrypted by our key"
  }

  # Nothing is public.
  assert {
    condition = alltrue([
      for policy in aws_sns_topic_policy.this : [
        for statement in jsondecode(policy.policy).Statement : [statement.Principal, statement.Condition] if statement.Effect == "Allow"
        ] == [[
          { Service = ["aps.amazonaws.com", "cloudwatch.amazonaws.com"] },
          { StringEquals = { "aws:SourceAccount" = var.account_id } },
      ]]
    ])
    error_message = "only alarms of this account are sent"
  }

  # Objectives.
  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.errors : name => format("%.4f", alarm.threshold) } == {
      "fast-long"  = "0.0144"
      "fast-short" = "0.0144"
      "slow-long"  = "0.0060"
      "slow-short" = "0.0060"
      "day-long"   = "0.0030"
      "day-short"  = "0.0030"
    }
    error_message = "budgets of errors are those of observability/README.md"
  }
  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.latency : name => format("%.1f", alarm.threshold) } == {
      "fast-long"  = "85.6"
      "fast-short" = "85.6"
      "slow-long"  = "94.0"
      "slow-short" = "94.0"
      "day-long"   = "97.0"
      "day-short"  = "97.0"
    }
    error_message = "budgets of latency are those of observability/README.md"
  }
  assert {
    condition = alltrue([
      for name, alarm in aws_cloudwatch_composite_alarm.burn :
      alarm.alarm_rule == "ALARM(\"birthday-${var.environment}-${name}-long\") AND ALARM(\"birthday-${var.environment}-${name}-short\")"
    ])
    error_message = "both windows have to show it"
  }
  assert {
    condition = { for name, alarm in aws_cloudwatch_composite_alarm.burn : name => alarm.alarm_actions } == {
      "errors-fast"  = toset([aws_sns_topic.this["page"].arn])
      "errors-slow"  = toset([aws_sns_topic.this["page"].arn])
      "errors-day"   = toset([aws_sns_topic.this["ticket"].arn])
      "latency-fast" = toset([aws_sns_topic.this["page"].arn])
      "latency-slow" = toset([aws_sns_topic.this["page"].arn])
      "latency-day"  = toset([aws_sns_topic.this["ticket"].arn])
    }
    error_message = "what cannot wait pages"
  }
  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_composite_alarm.burn), values(aws_cloudwatch_metric_alarm.cause)) : strcontains(alarm.alarm_description, var.runbook)])
    error_message = "an alarm names the runbook"
  }
  assert {
    condition = length(setsubtract(
      ["database-connections", "database-cpu", "database-storage", "interruptions-waiting", "pods-unhealthy", "table-throttled"],
      keys(aws_cloudwatch_metric_alarm.cause),
    )) == 0
    error_message = "causes are watched"
  }
  assert {
    condition     = alltrue([for rules in aws_prometheus_rule_group_namespace.this : rules.data == file("../../../observability/alerts.yaml")])
    error_message = "Managed Prometheus has the rules of the repository"
  }
  assert {
    condition     = var.environment != "prod" || (length(aws_prometheus_workspace.this) == 1 && length([for subscription in aws_sns_topic_subscription.this : subscription if subscription.protocol == "https"]) > 0)
    error_message = "in prod metrics outlive the cluster, and a pager is called"
  }
  assert {
    condition     = var.environment != "prod" || aws_cloudwatch_log_group.pods.retention_in_days >= 90
    error_message = "prod keeps logs for 90 days"
  }

  # Trust and permissions.
  assert {
    condition = jsondecode(module.collector_role.trust) == {
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "pods.eks.amazonaws.com" }
        Action    = ["sts:AssumeRole", "sts:TagSession"]
        Condition = {
          StringEquals = {
            "aws:SourceAccount"                         = var.account_id
            "aws:RequestTag/kubernetes-namespace"       = "monitoring"
            "aws:RequestTag/kubernetes-service-account" = "otel-collector"
          }
          ArnEquals = { "aws:SourceArn" = local.platform.cluster_arn }
        }
      }]
    }
    error_message = "only the collector is the collector"
  }
  assert {
    condition = alltrue(flatten([
      for policy in concat([module.collector_role.policy], module.grafana_role[*].policy) : [
        for statement in jsondecode(policy).Statement : [for action in statement.Action : !strcontains(action, "*")]
      ]
    ]))
    error_message = "no role has a wildcard among its actions"
  }
  assert {
    condition = alltrue([
      for boundary in concat([module.collector_role.permissions_boundary], module.grafana_role[*].permissions_boundary) :
      boundary == "arn:aws:iam::${var.account_id}:policy/birthday-${var.environment}-boundary"
    ])
    error_message = "each role is bounded"
  }
}

run "grafana" {
  command = plan

  variables {
    managed_prometheus = true
    managed_grafana    = true
  }

  assert {
    condition = jsondecode(module.grafana_role[0].trust) == {
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "grafana.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      }]
    }
    error_message = "only this account's Grafana reads"
  }
  assert {
    condition     = aws_grafana_workspace.this[0].authentication_providers == tolist(["AWS_SSO"])
    error_message = "people sign in by Identity Center"
  }
}

run "somebody_is_called_in_prod" {
  command = plan

  variables {
    environment = "prod"
    pages       = []
  }

  expect_failures = [var.pages]
}
