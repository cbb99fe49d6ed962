"""The keys of a DeepSpeed configuration. DeepSpeed ignores unknown keys, or fails at them."""

SECTIONS: dict[str, type | tuple[type, ...]] = {
    "zero_optimization": dict,
    "optimizer": dict,
    "scheduler": dict,
    "bf16": dict,
    "fp16": dict,
    "activation_checkpointing": dict,
    "aio": dict,
    "flops_profiler": dict,
    "comms_logger": dict,
    "tensorboard": dict,
    "wandb": dict,
    "csv_monitor": dict,
    "data_types": dict,
    "torch_autocast": dict,
    "compression_training": dict,
    "data_efficiency": dict,
    "elasticity": dict,
    "autotuning": dict,
    "sparse_attention": dict,
    "checkpoint": dict,
    "amp": dict,
    "zero_allow_untested_optimizer": bool,
    "zero_force_ds_cpu_optimizer": bool,
    "steps_per_print": (int, float),
    "wall_clock_breakdown": bool,
    "dump_state": bool,
    "gradient_clipping": (int, float),
    "train_batch_size": int,
    "train_micro_batch_size_per_gpu": int,
    "gradient_accumulation_steps": int,
    "prescale_gradients": bool,
    "gradient_predivide_factor": (int, float),
    "communication_data_type": str,
    "seq_parallel_communication_data_type": str,
    "sparse_gradients": bool,
    "memory_breakdown": bool,
    "disable_allgather": bool,
    "dataloader_drop_last": bool,
    "compile": dict,
    "tensor_parallel": dict,
    "use_data_before_expert_parallelism": bool,
    "timers": dict,
    "pipeline": dict,
    "eigenvalue": dict,
    "hybrid_engine": dict,
    "use_node_local_storage": bool,
    "nebula": dict,
    "curriculum_learning": dict,
    "progressive_layer_drop": dict,
    "bfloat16": dict,
    "graph_harvesting": bool,
    "gradient_accumulation_dtype": str,
    "sub_group_size": int,
    "zenflow": dict,
    "datastates_ckpt": dict,
}
"""DeepSpeed 0.18's keys (runtime/constants.py, runtime/config.py) and the types of their values; "auto" is transformers'."""
ZERO_KEYS = """stage contiguous_gradients reduce_scatter reduce_bucket_size use_multi_rank_bucket_allreduce allgather_partitions
    allgather_bucket_size overlap_comm load_from_fp32_weights elastic_checkpoint offload_param offload_optimizer sub_group_size
    cpu_offload_param cpu_offload_use_pin_memory cpu_offload prefetch_bucket_size param_persistence_threshold
    model_persistence_threshold max_live_parameters max_reuse_distance gather_16bit_weights_on_model_save
    module_granularity_threshold
    use_all_reduce_for_fetch_params ignore_unused_parameters legacy_stage1 round_robin_gradients zero_hpz_partition_size
    zero_quantized_weights zero_quantized_nontrainable_weights zero_quantized_gradients zeropp_loco_param mics_shard_size
    mics_hierarchical_params_gather memory_efficient_linear pipeline_loading_checkpoint override_module_apply
    log_trace_cache_warnings
    stage3_prefetch_bucket_size stage3_param_persistence_threshold stage3_model_persistence_threshold stage3_max_live_parameters
    stage3_max_reuse_distance stage3_gather_16bit_weights_on_model_save stage3_gather_fp16_weights_on_model_save
    stage3_module_granularity_threshold stage3_use_all_reduce_for_fetch_params param_overlap_comm allgather_sequential
    enable_sanity_checks zenflow""".split()
"""Keys of `zero_optimization` (runtime/zero/config.py), with their older names."""
OFFLOAD_KEYS = """device nvme_path buffer_count buffer_size max_in_cpu pin_memory pipeline_read pipeline_write fast_init ratio
    super_offload cpuadam_cores_perc""".split()
"""Keys of `offload_optimizer` and `offload_param` (runtime/zero/offload_config.py)."""
