output "topics" {
  description = "Topics of alarms: page, ticket."
  value       = { for name, topic in aws_sns_topic.this : name => topic.arn }
}

output "remote_write" {
  description = "Where the collector writes metrics, or null."
  value       = one([for workspace in aws_prometheus_workspace.this : "${workspace.prometheus_endpoint}api/v1/remote_write"])
}
