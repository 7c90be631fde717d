memory_mib         = 512
concurrency        = { most = 50, warm = 0 }
rate               = { steady = 200, burst = 400 }
log_retention_days = 30
