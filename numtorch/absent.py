"""PyTorch's names that numtorch lacks: errors for them say so. A name that exists is never looked up here."""
from __future__ import annotations

import difflib
from collections.abc import Iterable

FUNCTIONS = """
    AVG AcceleratorError AggregationType AliasDb AnyType Argument ArgumentSpec AwaitType BenchmarkConfig
    BenchmarkExecutionStats Block BoolType BufferDict CallStack Capsule ClassType Code CompilationUnit
    CompleteArgumentSpec ComplexType ConcreteModuleType ConcreteModuleTypeBuilder DeepCopyMemoTable
    DeserializationStorageContext DeviceObjType DictType DispatchKey DispatchKeySet EnumType ErrorReport
    Event ExcludeDispatchKeyGuard ExecutionPlan FatalError FileCheck FloatType FunctionSchema FutureType
    Gradient Graph GraphExecutorState IODescriptor InferredType IntType InterfaceType JITException ListType
    LiteScriptModule LockingLogger LoggerBase ModuleDict Node NoneType NoopLogger NumberType OperatorInfo
    OptionalType PRIVATE_OPS ParameterDict PyObjectType PyTorchFileReader PyTorchFileWriter QInt32Storage
    QInt8Storage QUInt2x4Storage QUInt4x2Storage QUInt8Storage RRefType SUM ScriptClass ScriptClassFunction
    ScriptDict ScriptDictIterator ScriptDictKeyIterator ScriptFunction ScriptList ScriptListIterator
    ScriptMethod ScriptModule ScriptModuleSerializer ScriptObject ScriptObjectProperty
    SerializationStorageContext StaticModule StorageBase Stream StreamObjType StringType SymBool SymBoolType
    SymFloat SymInt SymIntType Tag TensorType ThroughputBenchmark TracingState TupleType Type
    USE_GLOBAL_DEPS USE_RTLD_GLOBAL_WITH_LIBTORCH UnionType Use Value affine_grid_generator ao
    batch_norm_backward_elemt batch_norm_backward_reduce batch_norm_elemt batch_norm_gather_stats
    batch_norm_gather_stats_with_counts batch_norm_stats batch_norm_update_stats
    binary_cross_entropy_with_logits bit bits16 bits1x8 bits2x4 bits4x2 bits8 ccol_indices_copy
    choose_qparams_optimized classes classproperty col_indices_copy cond convolution cpp crow_indices_copy
    ctc_loss cudnn_affine_grid_generator cudnn_batch_norm cudnn_convolution cudnn_convolution_add_relu
    cudnn_convolution_relu cudnn_convolution_transpose cudnn_grid_sampler dsmm embedding_bag
    embedding_renorm_ empty_quantized export fake_quantize_per_channel_affine
    fake_quantize_per_tensor_affine fbgemm_linear_fp16_weight fbgemm_linear_fp16_weight_fp32_activation
    fbgemm_linear_int8_weight fbgemm_linear_int8_weight_fp32_activation fbgemm_linear_quantize_weight
    fbgemm_pack_gemm_matrix_fp16 fbgemm_pack_quantized_matrix float4_e2m1fn_x2 float8_e4m3fn float8_e4m3fnuz
    float8_e5m2 float8_e5m2fnuz float8_e8m0fnu fork functional fused_moving_avg_obs_fake_quant
    get_autocast_ipu_dtype get_autocast_xla_dtype get_device_module get_file_path hsmm hspmm
    import_ir_module import_ir_module_from_buffer indices_copy init_num_threads int1 int2 int3 int4 int5
    int6 int7 int_repr is_autocast_ipu_enabled is_autocast_xla_enabled jagged kl_div lobpcg
    merge_type_from_type_comment miopen_batch_norm miopen_convolution miopen_convolution_add_relu
    miopen_convolution_relu miopen_convolution_transpose miopen_ctc_loss miopen_depthwise_convolution
    miopen_rnn mkldnn_adaptive_avg_pool2d mkldnn_convolution mkldnn_linear_backward_weights
    mkldnn_max_pool2d mkldnn_max_pool3d mkldnn_rnn_layer monitor mtia native_norm nested package parse_ir
    parse_schema parse_type_comment per_channel_affine per_channel_affine_float_qparams
    per_channel_symmetric per_tensor_affine per_tensor_symmetric poisson_nll_loss
    prepare_multiprocessing_environment profiler_allow_cudagraph_cupti_lazy_reinit_cuda12 q_per_channel_axis
    q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point qint32 qint8 qscheme quantization
    quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic quantized_batch_norm quantized_gru
    quantized_gru_cell quantized_lstm quantized_lstm_cell quantized_max_pool1d quantized_max_pool2d
    quantized_max_pool3d quantized_rnn_relu_cell quantized_rnn_tanh_cell quasirandom quint2x4 quint4x2
    quint8 resize_as_sparse_ row_indices_copy saddmm segment_reduce set_anomaly_enabled
    set_autocast_ipu_dtype set_autocast_ipu_enabled set_autocast_xla_dtype set_autocast_xla_enabled
    slice_inverse smm sparse sparse_bsc sparse_bsc_tensor sparse_bsr sparse_bsr_tensor
    sparse_compressed_tensor sparse_coo_tensor sparse_csc sparse_csc_tensor sparse_csr sparse_csr_tensor
    spmm sspaddmm sym_constrain_range sym_constrain_range_for_size sym_fresh_size thread_safe_generator
    torch torch_version uint1 uint2 uint3 uint4 uint5 uint6 uint7 unify_type_list values_copy wait
    while_loop windows"""

METHODS = """
    _addmm_activation _autocast_to_full_precision _autocast_to_reduced_precision _cdata
    _clear_non_serializable_cached_data _coalesced_ _conj _conj_physical _dimI _dimV _dtensor__new__
    _fix_weakref _grad_fn _has_symbolic_sizes_strides _indices _is_zerotensor _lazy_clone
    _make_wrapper_subclass _neg_view _nested_tensor_size _nested_tensor_storage_offsets
    _nested_tensor_strides _nnz _philox_normal_ _philox_uniform_ _post_accumulate_grad_hooks
    _python_dispatch _reduce_ex_internal _rev_view_func_unsafe _sparse_mask_projection _to_dense
    _to_sparse _to_sparse_bsc _to_sparse_bsr _to_sparse_csc _to_sparse_csr _typed_storage _use_count
    _values _view_func _view_func_unsafe ccol_indices col_indices crow_indices grad_dtype index int_repr
    module_load q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point
    qscheme resize_as_sparse_ row_indices slice_inverse smm sparse_mask sparse_resize_
    sparse_resize_and_clear_ sspaddmm to_mkldnn to_padded_tensor to_sparse to_sparse_bsc to_sparse_bsr
    to_sparse_coo to_sparse_csc to_sparse_csr"""


FUNCTIONAL = "grouped_mm scaled_grouped_mm scaled_mm ScalingType SwizzleType"


def missing(words: str, name: str, names: str, here: Iterable[str] = ()) -> str:
    """The message of an AttributeError: `words`, and, where PyTorch has the name, that numtorch does not,
    with
    the nearest of the names that are `here`."""
    if name not in names.split():
        return words
    near = difflib.get_close_matches(name, here, 1, 0.7)
    return words + ": PyTorch has it, numtorch does not" + (f"; the nearest name here is '{near[0]}'" if near
                                                            else "")
