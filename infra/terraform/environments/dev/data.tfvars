second_region            = "eu-west-1"
postgres                 = "instance"
postgres_class           = "db.t4g.micro"
postgres_storage_gib     = { first = 20, most = 50 }
multi_az                 = false
backup_days              = 7
backups_in_second_region = false
deletion_protection      = false
dynamodb                 = true
log_retention_days       = 30
