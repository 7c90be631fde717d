memory_mib         = 512
concurrency        = { most = 500, warm = 5 }
rate               = { steady = 2000, burst = 4000 }
log_retention_days = 365
