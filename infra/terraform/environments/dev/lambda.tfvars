memory_mib         = 256
concurrency        = { most = 10, warm = 0 }
rate               = { steady = 50, burst = 100 }
log_retention_days = 30
