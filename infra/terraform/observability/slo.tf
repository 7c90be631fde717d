# The objectives of observability/README.md, as the load balancer sees them. Prometheus has them more exactly; these alarms also fire
# when the cluster, and Prometheus with it, is gone.

locals {
  # Burn rates follow the SRE workbook, chapter 5. CloudWatch looks back a day at most, so the slowest one is Prometheus's alone.
  burns = {
    "fast-long"  = { rate = 14.4, seconds = 3600 }
    "fast-short" = { rate = 14.4, seconds = 300 }
    "slow-long"  = { rate = 6, seconds = 21600 }
    "slow-short" = { rate = 6, seconds = 1800 }
    "day-long"   = { rate = 3, seconds = 86400 }
    "day-short"  = { rate = 3, seconds = 7200 }
  }
  # Availability 99.9 %; latency 99 % within 100 ms.
  error_budget   = 0.001
  latency_budget = 0.01

  balanced = local.edge.load_balancer_suffix == null ? {} : local.burns
  pairs    = local.edge.load_balancer_suffix == null ? {} : { fast = "page", slow = "page", day = "ticket" }
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each            = local.balanced
  alarm_name          = "${local.name}-errors-${each.key}"
  alarm_description   = "Part of ${local.name}-errors: more than ${each.value.rate * local.error_budget * 100} % of requests failed"
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.rate * local.error_budget
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "ratio"
    expression  = "(FILL(target, 0) + FILL(balancer, 0)) / requests"
    label       = "Requests that failed"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { requests = "RequestCount", target = "HTTPCode_Target_5XX_Count", balancer = "HTTPCode_ELB_5XX_Count" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value
        dimensions  = { LoadBalancer = local.edge.load_balancer_suffix }
        stat        = "Sum"
        period      = each.value.seconds
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "latency" {
  for_each            = local.balanced
  alarm_name          = "${local.name}-latency-${each.key}"
  alarm_description   = "Part of ${local.name}-latency: more than ${each.value.rate * local.latency_budget * 100} % of answers took over 100 ms"
  comparison_operator = "LessThanThreshold"
  threshold           = 100 * (1 - each.value.rate * local.latency_budget)
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "quick"
    label       = "Answers within 100 ms, in percent"
    return_data = true

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "TargetResponseTime"
      dimensions  = { LoadBalancer = local.edge.load_balancer_suffix }
      stat        = "PR(:0.1)"
      period      = each.value.seconds
    }
  }
}

# The long window shows that the errors matter, the short one that they continue.
resource "aws_cloudwatch_composite_alarm" "burn" {
  for_each = merge([
    for burn, topic in local.pairs : { for objective in ["errors", "latency"] : "${objective}-${burn}" => { topic = topic, objective = objective, burn = burn } }
  ]...)
  alarm_name        = "${local.name}-${each.key}"
  alarm_description = "The budget of ${each.value.objective} is spent too fast. ${var.runbook}"
  alarm_rule = join(" AND ", [
    for window in ["long", "short"] : "ALARM(\"${local.name}-${each.value.objective}-${each.value.burn}-${window}\")"
  ])
  alarm_actions = [aws_sns_topic.this[each.value.topic].arn]
  ok_actions    = [aws_sns_topic.this[each.value.topic].arn]

  depends_on = [aws_cloudwatch_metric_alarm.errors, aws_cloudwatch_metric_alarm.latency]
}
