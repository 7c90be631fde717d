# What other layers read, in one parameter.

locals {
  published = {
    cluster_name                    = aws_eks_cluster.this.name
    cluster_arn                     = local.cluster_arn
    cluster_security_group_id       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
    oidc_provider_arn               = local.cluster.oidc_provider_arn
    load_balancer_security_group_id = aws_security_group.load_balancer.id
    karpenter_node_role             = module.karpenter_node_role.name
    karpenter_queue                 = aws_sqs_queue.interruptions.name
    repositories                    = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
  }
}

resource "aws_ssm_parameter" "published" {
  name        = "/birthday/${var.environment}/platform"
  description = "What the layer platform publishes"
  type        = "String"
  value       = jsonencode({ platform = local.published })
}

output "published" {
  description = "What other layers and the charts of the cluster read."
  value       = local.published
}
