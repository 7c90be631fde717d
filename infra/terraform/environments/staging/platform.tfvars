kubernetes_version = "1.35"
administrators     = ["arn:aws:iam::123456789012:role/platform-team"]
system_nodes       = { instance_types = ["m7g.medium"], min = 2, max = 4, disk_gib = 30 }
kept_images        = 20
log_retention_days = 30
second_region      = null
