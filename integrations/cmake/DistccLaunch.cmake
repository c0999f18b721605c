# Compiles a CMake project through distcc-launch, and sizes its Ninja job pools.
#
# Use it in one of three ways:
#   cmake -DCMAKE_PROJECT_INCLUDE=/path/DistccLaunch.cmake …               (CMake 3.15 and newer)
#   cmake -DCMAKE_PROJECT_TOP_LEVEL_INCLUDES=/path/DistccLaunch.cmake …    (CMake 3.24 and newer)
#   include(/path/DistccLaunch.cmake)                                      (after project())
#
#   DISTCC_LAUNCH=OFF              switches it off
#   DISTCC_LAUNCH_EXECUTABLE=PATH  names the launcher when it is neither in PATH nor beside this installation
#
# How many jobs fit comes from `distcc-launch jobs`; nothing is decided here.

get_property(_distcc_launch_probing GLOBAL PROPERTY IN_TRY_COMPILE)
if(_distcc_launch_probing)
  return()
endif()
include_guard(DIRECTORY)

option(DISTCC_LAUNCH "Compile through distcc-launch" ON)
if(NOT DISTCC_LAUNCH)
  return()
endif()

# A launcher that has been removed since would stop the build: look again.
if(DISTCC_LAUNCH_EXECUTABLE AND NOT EXISTS "${DISTCC_LAUNCH_EXECUTABLE}")
  unset(DISTCC_LAUNCH_EXECUTABLE CACHE)
  unset(DISTCC_LAUNCH_EXECUTABLE)
endif()
find_program(DISTCC_LAUNCH_EXECUTABLE NAMES distcc-launch
  HINTS "${CMAKE_CURRENT_LIST_DIR}/../../../bin"
  NO_CMAKE_FIND_ROOT_PATH
  DOC "The launcher that compiles go through")
if(NOT DISTCC_LAUNCH_EXECUTABLE)
  message(STATUS "distcc-launch: not found, everything is compiled here (set DISTCC_LAUNCH_EXECUTABLE to its path)")
  return()
endif()

# Sets `out` to a number from `distcc-launch jobs`, or to 0 where it gives none.
function(_distcc_launch_jobs kind out)
  execute_process(COMMAND "${DISTCC_LAUNCH_EXECUTABLE}" jobs "--${kind}"
    OUTPUT_VARIABLE number ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE code)
  if(NOT code EQUAL 0 OR NOT number MATCHES "^[1-9][0-9]*$")
    set(number 0)
  endif()
  set(${out} ${number} PARENT_SCOPE)
endfunction()

# Declares our pools.  Runs when the top directory has been read, because a project that sets JOB_POOLS without APPEND
# would drop them, and Ninja stops at a pool that nobody declared.
function(_distcc_launch_declare_pools)
  get_property(declared GLOBAL PROPERTY JOB_POOLS)
  if(NOT declared)
    # CMake looks at CMAKE_JOB_POOLS only while the property is empty, which it will not be from here on.
    set(declared ${CMAKE_JOB_POOLS})
  endif()
  foreach(pool IN LISTS ARGN)
    string(REGEX REPLACE "=.*" "=" name "${pool}")
    if(NOT ";${declared}" MATCHES ";${name}")
      list(APPEND declared "${pool}")
    endif()
  endforeach()
  set_property(GLOBAL PROPERTY JOB_POOLS "${declared}")
endfunction()

# The launcher goes behind ccache, once.  A list that names something else is the user's own and stays as it is.
foreach(_distcc_launch_language IN ITEMS C CXX OBJC OBJCXX)
  set(_distcc_launch_variable CMAKE_${_distcc_launch_language}_COMPILER_LAUNCHER)
  # CMake reads the environment when it enables the language, which may still be to come.
  if(NOT DEFINED ${_distcc_launch_variable} AND DEFINED ENV{${_distcc_launch_variable}})
    set(${_distcc_launch_variable} "$ENV{${_distcc_launch_variable}}")
  endif()
  if("${${_distcc_launch_variable}}" MATCHES "(^|[/;])distcc(-launch)?(;|$)")
    continue()
  elseif("${${_distcc_launch_variable}}" MATCHES "(^$|(^|[/;])ccache$)")
    list(APPEND ${_distcc_launch_variable} "${DISTCC_LAUNCH_EXECUTABLE}")
  else()
    message(STATUS "distcc-launch: ${_distcc_launch_variable} is ${${_distcc_launch_variable}} and stays so")
  endif()
endforeach()

_distcc_launch_jobs(total _distcc_launch_total)
if(_distcc_launch_total EQUAL 0)
  message(STATUS "distcc-launch: ${DISTCC_LAUNCH_EXECUTABLE}")
  return()
endif()
message(STATUS "distcc-launch: ${DISTCC_LAUNCH_EXECUTABLE}, build with -j ${_distcc_launch_total}")

# Pools only narrow what -j allows: compiles to all slots, links and precompiled headers to what this machine bears.
if(CMAKE_GENERATOR MATCHES "Ninja")
  set(_distcc_launch_pools)
  foreach(_distcc_launch_step IN ITEMS compile link precompile_header)
    string(TOUPPER "CMAKE_JOB_POOL_${_distcc_launch_step}" _distcc_launch_variable)
    if(_distcc_launch_step STREQUAL "compile")
      set(_distcc_launch_depth ${_distcc_launch_total})
    elseif(_distcc_launch_step STREQUAL "link")
      _distcc_launch_jobs(link _distcc_launch_depth)
    else()
      _distcc_launch_jobs(local _distcc_launch_depth)
    endif()
    if(NOT DEFINED ${_distcc_launch_variable} AND _distcc_launch_depth GREATER 0)
      set(${_distcc_launch_variable} distcc_${_distcc_launch_step})
      list(APPEND _distcc_launch_pools "distcc_${_distcc_launch_step}=${_distcc_launch_depth}")
    endif()
  endforeach()
  if(CMAKE_VERSION VERSION_LESS 3.19)
    _distcc_launch_declare_pools(${_distcc_launch_pools})
  else()
    cmake_language(EVAL CODE "cmake_language(DEFER DIRECTORY [[${CMAKE_SOURCE_DIR}]]
      CALL _distcc_launch_declare_pools ${_distcc_launch_pools})")
  endif()
endif()
