# Libraries, all from Debian packages (packaging/apt-packages.txt).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(lib jansson yaml-0.1 libpcre2-8 libutf8proc libzstd libcrypto libxxhash)
    pkg_check_modules(${lib} REQUIRED IMPORTED_TARGET GLOBAL ${lib})
endforeach()

# A server as teacher: src/teacher/http_<RETORT_HTTP>.c. Without the library everything else is built, and endpoints are
# refused with a word about it.
set(RETORT_HTTP none)
if(RETORT_CURL)
    pkg_check_modules(libcurl IMPORTED_TARGET GLOBAL libcurl>=7.85)
    if(libcurl_FOUND)
        set(RETORT_HTTP curl)
        set(RETORT_PC_HTTP libcurl)
    endif()
endif()

# Debian's libdnnl-dev ships no pkg-config file.
if(RETORT_ONEDNN)
    find_path(DNNL_INCLUDE oneapi/dnnl/dnnl.h REQUIRED)
    find_library(DNNL_LIBRARY dnnl REQUIRED)
    add_library(rt_dnnl INTERFACE)
    target_include_directories(rt_dnnl SYSTEM INTERFACE ${DNNL_INCLUDE})
    target_link_libraries(rt_dnnl INTERFACE ${DNNL_LIBRARY})
endif()
if(RETORT_ONEDNN)
    # oneDNN runs on OpenMP; the team tells it to keep to one thread.
    find_package(OpenMP REQUIRED COMPONENTS C)
endif()
