# Amazon Managed Prometheus with the very rules of observability/alerts.yaml, and Grafana, by variable.

locals {
  prometheus = var.managed_prometheus ? 1 : 0
  grafana    = var.managed_grafana ? 1 : 0
}

resource "aws_prometheus_workspace" "this" {
  count       = local.prometheus
  alias       = local.name
  kms_key_arn = module.key.arn

  logging_configuration {
    log_group_arn = "${aws_cloudwatch_log_group.prometheus[0].arn}:*"
  }
}

resource "aws_cloudwatch_log_group" "prometheus" {
  count             = local.prometheus
  name              = "/birthday/${var.environment}/prometheus"
  retention_in_days = var.log_retention_days
  kms_key_id        = module.key.arn
}

resource "aws_prometheus_rule_group_namespace" "this" {
  count        = local.prometheus
  name         = "birthday"
  workspace_id = aws_prometheus_workspace.this[0].id
  data         = file("${path.module}/../../../observability/alerts.yaml")
}

resource "aws_prometheus_alert_manager_definition" "this" {
  count        = local.prometheus
  workspace_id = aws_prometheus_workspace.this[0].id
  definition = yamlencode({
    alertmanager_config = yamlencode({
      route = {
        receiver = "ticket"
        group_by = ["alertname", "namespace", "job"]
        routes   = [{ receiver = "page", matchers = ["severity=\"page\""] }]
      }
      receivers = [for topic in ["page", "ticket"] : {
        name = topic
        sns_configs = [{
          topic_arn     = "arn:aws:sns:${var.region}:${var.account_id}:${local.name}-${topic}"
          sigv4         = { region = var.region }
          send_resolved = true
        }]
      }]
    })
  })
}

# The collector of the cluster writes metrics, logs and traces.
module "collector_role" {
  source = "../modules/pod-role"

  name                 = "${local.name}-collector"
  description          = "The collector of metrics, logs and traces"
  permissions_boundary = local.boundary
  namespace            = "monitoring"
  service_account      = "otel-collector"
  cluster = {
    name              = local.platform.cluster_name
    arn               = local.platform.cluster_arn
    account_id        = var.account_id
    oidc_provider_arn = local.platform.oidc_provider_arn
  }
  policy = "{\"Version\":\"2012-10-17\",\"Statement\":[${join(",", concat(
    [
      jsonencode({
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = "arn:aws:logs:${var.region}:${var.account_id}:log-group:/birthday/${var.environment}/pods:*"
      }),
      jsonencode({
        Sid      = "WriteTraces"
        Effect   = "Allow"
        Action   = ["xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:PutTelemetryRecords", "xray:PutTraceSegments"]
        Resource = "*"
      }),
    ],
    var.managed_prometheus ? [jsonencode({
      Sid      = "WriteMetrics"
      Effect   = "Allow"
      Action   = ["aps:RemoteWrite"]
      Resource = aws_prometheus_workspace.this[0].arn
    })] : [],
  ))}]}"
}

module "grafana_role" {
  count  = local.grafana
  source = "../modules/role"

  name                 = "${local.name}-grafana"
  description          = "Grafana reads metrics"
  permissions_boundary = local.boundary
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "grafana.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadPrometheus"
        Effect   = "Allow"
        Action   = ["aps:DescribeWorkspace", "aps:GetLabels", "aps:GetMetricMetadata", "aps:GetSeries", "aps:QueryMetrics"]
        Resource = aws_prometheus_workspace.this[0].arn
      },
      {
        Sid      = "ReadCloudWatch"
        Effect   = "Allow"
        Action   = ["aps:ListWorkspaces", "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:ListMetrics"]
        Resource = "*"
      },
    ]
  })
}

resource "aws_grafana_workspace" "this" {
  count                    = local.grafana
  name                     = local.name
  account_access_type      = "CURRENT_ACCOUNT"
  authentication_providers = ["AWS_SSO"]
  permission_type          = "CUSTOMER_MANAGED"
  role_arn                 = module.grafana_role[0].arn
  data_sources             = ["CLOUDWATCH", "PROMETHEUS"]
}
