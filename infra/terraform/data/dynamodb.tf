# The table of people: the key and the names are those of docs/key-value.md.

resource "aws_dynamodb_table" "people" {
  count                       = var.dynamodb ? 1 : 0
  name                        = "people"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "PK"
  deletion_protection_enabled = var.deletion_protection
  # Replication reads the stream.
  stream_enabled   = var.global_table
  stream_view_type = var.global_table ? "NEW_AND_OLD_IMAGES" : null

  attribute {
    name = "PK"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = module.key.arn
  }

  dynamic "replica" {
    for_each = var.global_table ? [var.second_region] : []

    content {
      region_name            = replica.value
      kms_key_arn            = module.second_key.arn
      point_in_time_recovery = true
      propagate_tags         = true
    }
  }
}
