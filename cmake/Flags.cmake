# Compiler flags: warnings are errors everywhere, sanitizers by option, instruction sets by file name.
add_library(rt_flags INTERFACE)
target_compile_options(rt_flags INTERFACE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2 -Werror)
target_include_directories(rt_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
set(RT_CONVERSION_MODULES core format record text)

if(RETORT_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=address,undefined)
elseif(RETORT_SANITIZE)
    add_compile_options(-fsanitize=${RETORT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${RETORT_SANITIZE})
endif()

# Kernels: src/tensor/kernels/<name>_<isa>.c is compiled for that instruction set and called only where the
# processor has it. Elsewhere than on x86-64 these files are left out.
set(RT_ISA_avx2 -mavx2 -mfma -mf16c)
set(RT_ISA_avx512 ${RT_ISA_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq)
set(RT_ISA_avx512bf16 ${RT_ISA_avx512} -mavx512vnni -mavx512bf16)
set(RT_ISA_amx ${RT_ISA_avx512bf16} -mamx-tile -mamx-bf16)
# What a vectoriser needs, without the value-changing rest of -ffast-math.
set(RT_KERNEL_FLAGS -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast)

# Sets the flags of one kernel file; `keep` becomes FALSE where this machine type cannot have it.
function(rt_kernel_flags source keep)
    get_filename_component(name ${source} NAME_WE)
    set(flags)
    if(name MATCHES "^kern_")
        set(flags ${RT_KERNEL_FLAGS})
    endif()
    set(${keep} TRUE PARENT_SCOPE)
    if(name MATCHES "_(avx2|avx512|avx512bf16|amx)$")
        set(isa ${CMAKE_MATCH_1})
        if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
            set(${keep} FALSE PARENT_SCOPE)
        endif()
        list(APPEND flags ${RT_ISA_${isa}})
    endif()
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${flags}")
endfunction()
