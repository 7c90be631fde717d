cidr               = "10.1.0.0/16"
zones              = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
nat                = "single"
log_retention_days = 30
bastion            = true
interface_endpoints = [
  "ec2",
  "ec2messages",
  "ecr.api",
  "ecr.dkr",
  "eks",
  "eks-auth",
  "kms",
  "logs",
  "secretsmanager",
  "ssm",
  "ssmmessages",
  "sts",
]
