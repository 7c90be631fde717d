pages              = []
tickets            = ["birthday@example.com"]
runbook            = "https://github.com/example/birthday/blob/main/docs/runbook.md"
managed_prometheus = false
managed_grafana    = false
database_alarms    = { free_gib = 5, connections = 60 }
log_retention_days = 30
