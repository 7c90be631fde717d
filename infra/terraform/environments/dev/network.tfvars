cidr               = "10.2.0.0/16"
zones              = ["eu-central-1a", "eu-central-1b"]
nat                = "single"
log_retention_days = 30
bastion            = true
interface_endpoints = [
  "ec2messages",
  "ssm",
  "ssmmessages",
]
