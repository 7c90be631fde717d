# Alarms on causes. They are tickets: if clients notice, a budget is spent, too, and that pages.

locals {
  database = local.data.postgres == "instance" ? { DBInstanceIdentifier = local.data.postgres_identifier } : { DBClusterIdentifier = coalesce(local.data.postgres_identifier, "none") }
  causes = merge(
    local.data.postgres == "none" ? {} : {
      database-cpu = {
        namespace = "AWS/RDS", metric = "CPUUtilization", dimensions = local.database, stat = "Average"
        above     = true, threshold = 80, minutes = 15, what = "The database's CPU is busy"
      }
      database-connections = {
        namespace = "AWS/RDS", metric = "DatabaseConnections", dimensions = local.database, stat = "Maximum"
        above     = true, threshold = var.database_alarms.connections, minutes = 5, what = "The database has many connections"
      }
    },
    local.data.postgres != "instance" ? {} : {
      database-storage = {
        namespace = "AWS/RDS", metric = "FreeStorageSpace", dimensions = local.database, stat = "Minimum"
        above     = false, threshold = var.database_alarms.free_gib * 1073741824, minutes = 15, what = "The database's disk fills"
      }
    },
    local.data.table == null ? {} : {
      table-throttled = {
        namespace = "AWS/DynamoDB", metric = "ThrottledRequests", dimensions = { TableName = local.data.table }, stat = "Sum"
        above     = true, threshold = 0, minutes = 5, what = "The table refuses requests"
      }
    },
    local.edge.load_balancer_suffix == null ? {} : {
      pods-unhealthy = {
        namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = { LoadBalancer = local.edge.load_balancer_suffix }, stat = "Minimum"
        above     = true, threshold = 0, minutes = 10, what = "The load balancer finds pods that do not answer"
      }
    },
    {
      interruptions-waiting = {
        namespace = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = local.platform.karpenter_queue }, stat = "Maximum"
        above     = true, threshold = 120, minutes = 5, what = "Karpenter does not see that instances are taken back"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "cause" {
  for_each            = local.causes
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.what}. ${var.runbook}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.stat
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  datapoints_to_alarm = each.value.minutes
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this["ticket"].arn]
  ok_actions          = [aws_sns_topic.this["ticket"].arn]
}

locals {
  panels = [
    { title = "Requests", metrics = [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", local.edge.load_balancer_suffix]], stat = "Sum" },
    { title = "Answers 5xx", metrics = [["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "LoadBalancer", local.edge.load_balancer_suffix], ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "LoadBalancer", local.edge.load_balancer_suffix]], stat = "Sum" },
    { title = "Time to answer, p99", metrics = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", local.edge.load_balancer_suffix]], stat = "p99" },
    { title = "The database's CPU", metrics = [["AWS/RDS", "CPUUtilization", keys(local.database)[0], values(local.database)[0]]], stat = "Average" },
    { title = "The database's connections", metrics = [["AWS/RDS", "DatabaseConnections", keys(local.database)[0], values(local.database)[0]]], stat = "Maximum" },
    { title = "The table's time to answer", metrics = [["AWS/DynamoDB", "SuccessfulRequestLatency", "TableName", local.data.table, "Operation", "GetItem"]], stat = "p99" },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.name
  dashboard_body = jsonencode({
    widgets = [for index, panel in local.panels : {
      type   = "metric"
      x      = 8 * (index % 3)
      y      = 6 * floor(index / 3)
      width  = 8
      height = 6
      properties = {
        title   = panel.title
        metrics = panel.metrics
        stat    = panel.stat
        period  = 60
        region  = var.region
        view    = "timeSeries"
      }
    }]
  })
}

# Logs of pods, which the collector writes.
resource "aws_cloudwatch_log_group" "pods" {
  name              = "/birthday/${var.environment}/pods"
  retention_in_days = var.log_retention_days
  kms_key_id        = module.key.arn
}
