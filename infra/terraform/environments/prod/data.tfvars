second_region            = "eu-west-1"
postgres                 = "instance"
postgres_class           = "db.m7g.large"
postgres_storage_gib     = { first = 100, most = 1000 }
multi_az                 = true
backup_days              = 35
backups_in_second_region = true
deletion_protection      = true
dynamodb                 = true
log_retention_days       = 365
