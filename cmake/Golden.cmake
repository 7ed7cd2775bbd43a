# The tokenizer's fixtures pack to a quarter, so the tree holds them as an archive. Tests find them under
# ${RT_GOLDEN_UNPACKED}: C as RT_TEST_UNPACKED, scripts as $RETORT_BUILD/golden.
set(RT_GOLDEN_ARCHIVE ${CMAKE_SOURCE_DIR}/tests/golden/tokenizer.tar.xz)
set(RT_GOLDEN_UNPACKED ${CMAKE_BINARY_DIR}/golden)

# The stamp goes with the folder, and files keep the archive's dates, which say nothing about when they were unpacked.
set(stamp ${RT_GOLDEN_UNPACKED}/stamp)
if(${RT_GOLDEN_ARCHIVE} IS_NEWER_THAN ${stamp})
    file(ARCHIVE_EXTRACT INPUT ${RT_GOLDEN_ARCHIVE} DESTINATION ${RT_GOLDEN_UNPACKED})
    file(TOUCH ${stamp})
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${RT_GOLDEN_ARCHIVE})
