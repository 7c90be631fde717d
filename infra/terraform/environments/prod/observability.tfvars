pages              = ["https://events.pagerduty.com/integration/example/enqueue"]
tickets            = ["birthday@example.com"]
runbook            = "https://github.com/example/birthday/blob/main/docs/runbook.md"
managed_prometheus = true
managed_grafana    = true
database_alarms    = { free_gib = 20, connections = 600 }
log_retention_days = 90
