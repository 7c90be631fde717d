kubernetes_version = "1.35"
administrators     = ["arn:aws:iam::123456789012:role/platform-team"]
system_nodes       = { instance_types = ["m7g.large"], min = 3, max = 6, disk_gib = 50 }
kept_images        = 50
log_retention_days = 365
second_region      = "eu-west-1"
